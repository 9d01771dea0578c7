//! The keys of a sidecar.

use serde_json::Value;

use super::{Join, Members, Plan};
use crate::dtype::DType;
use crate::dtype::literal::excerpt;
use crate::format::Refusal;
use crate::format::raw::{Spec, keys};
use crate::layout::MAX_NDIM;

/// All keys, for a message.
const KEYS: &str =
    "files, axis, new_axis, dim, select, transpose, rename, fill, dtype, shape, lengths, raw, attributes";

fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(message.into()))
}

impl Plan {
    /// What a sidecar says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_toml(bytes: &[u8]) -> Result<Plan, Refusal> {
        let table = keys::table(bytes)?;
        let Some(files) = table.get("files") else {
            return refuse(
                "it names no files; add files = [...], a pattern such as \"t{0000..8759}.npy\", or \"*.npy\"",
            );
        };
        let mut plan = Plan {
            members: members(files)?,
            join: Join::New(0),
            dim: String::new(),
            select: None,
            transpose: false,
            rename: Vec::new(),
            fill: None,
            dtype: None,
            shape: None,
            lengths: Vec::new(),
            raw: None,
            attributes: serde_json::Map::new(),
        };
        if table.contains_key("axis") && table.contains_key("new_axis") {
            return refuse("it gives both axis and new_axis; one of them says how members are joined");
        }
        for (key, value) in table {
            plan.set(&key, value)?;
        }
        if plan.raw.is_some() && plan.dtype.is_some() {
            return refuse("it gives both dtype and raw; what raw says is enough");
        }
        if !plan.dim.is_empty() && matches!(plan.join, Join::Along(_)) {
            return refuse("it gives dim, the name of a new axis, and there is none");
        }
        Ok(plan)
    }

    fn set(&mut self, key: &str, value: toml::Value) -> Result<(), Refusal> {
        match (key, value) {
            ("files", _) => {}
            ("axis", toml::Value::String(text)) if text == "new" => self.join = Join::New(0),
            ("axis", toml::Value::Integer(axis)) => self.join = Join::Along(axis),
            ("new_axis", toml::Value::Integer(axis)) => self.join = Join::New(axis),
            ("dim", toml::Value::String(text)) => self.dim = text,
            ("select", toml::Value::String(text)) => self.select = Some(text),
            ("transpose", toml::Value::Boolean(reversed)) => self.transpose = reversed,
            ("rename", toml::Value::Table(names)) => {
                for (old, new) in names {
                    let toml::Value::String(new) = new else {
                        return refuse("rename must be a table of texts, the new names by the old ones");
                    };
                    self.rename.push((old, new));
                }
            }
            ("fill", value) => self.fill = Some(keys::json(value)),
            ("dtype", toml::Value::String(text)) => {
                self.dtype = Some(DType::parse(&text).map_err(|error| Refusal(error.to_string()))?);
            }
            ("dtype", value @ toml::Value::Array(_)) => {
                let dtype = DType::from_json(&keys::json(value));
                self.dtype = Some(dtype.map_err(|error| Refusal(error.to_string()))?);
            }
            ("shape", toml::Value::Array(lengths)) => self.shape = Some(shape(&lengths)?),
            ("lengths", toml::Value::Array(list)) => {
                self.lengths = list.iter().map(length).collect::<Option<_>>().ok_or_else(|| {
                    Refusal("lengths must be an array of lengths, or of [length, times]; none of them negative".into())
                })?;
            }
            ("raw", toml::Value::Table(table)) => {
                let spec = Spec::from_table(table).map_err(|Refusal(why)| Refusal(format!("raw: {why}")))?;
                if spec.name.is_some() || spec.file.is_some() {
                    return refuse("raw: the keys name and file are not for members");
                }
                self.raw = Some(spec);
            }
            ("attributes", value @ toml::Value::Table(_)) => {
                if let Value::Object(attributes) = keys::json(value) {
                    self.attributes = attributes;
                }
            }
            (key, _) if KEYS.split(", ").any(|known| known == key) => {
                return refuse(format!("{key} has a value of the wrong kind"));
            }
            (key, _) => return refuse(format!("{} is no key; the keys are {KEYS}", excerpt(key))),
        }
        Ok(())
    }
}

fn members(files: &toml::Value) -> Result<Members, Refusal> {
    match files {
        toml::Value::String(text) => Members::of_text(text),
        toml::Value::Array(list) => {
            let names = list.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>();
            Members::of_list(names.ok_or_else(|| Refusal("files must be a text, or an array of texts".into()))?)
        }
        _ => refuse("files must be a text, or an array of texts"),
    }
}

fn shape(lengths: &[toml::Value]) -> Result<Vec<u64>, Refusal> {
    let lengths = lengths.iter().map(natural).collect::<Option<Vec<u64>>>();
    let lengths = lengths.ok_or_else(|| Refusal("shape must be an array of lengths, none of them negative".into()))?;
    if lengths.len() > MAX_NDIM {
        return refuse(format!("shape has {} axes, more than {MAX_NDIM}", lengths.len()));
    }
    Ok(lengths)
}

fn natural(value: &toml::Value) -> Option<u64> {
    value.as_integer().and_then(|number| u64::try_from(number).ok())
}

fn length(value: &toml::Value) -> Option<(u64, u64)> {
    match value {
        toml::Value::Array(pair) => match &pair[..] {
            [length, times] => Some((natural(length)?, natural(times)?)),
            _ => None,
        },
        value => Some((natural(value)?, 1)),
    }
}

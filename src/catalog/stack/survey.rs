//! Looking at every member of a stack, as `afbfs stack` and `afbfs ls` do.

use std::path::Path;

use rustix::io::Errno;

use super::member::{Found, Site};
use super::{is_stack, named, prepare};
use crate::catalog::{Catalog, Origin, Problem};
use crate::format::Refusal;
use crate::format::stack::{Member, Plan};

/// What all members of a stack are, each of them looked at.
#[derive(Clone, Debug)]
pub struct Survey {
    /// What each is, its length along the axis where they are joined being that of the first that is there.
    pub member: Member,
    /// The length of each along the axis where they are joined, or those that are expected; none for a new axis.
    pub lengths: Vec<u64>,
    /// Names of members that are missing, though they may be.
    pub missing: Vec<String>,
    /// How many there are in all.
    pub count: u64,
}

impl Catalog {
    /// Looks at every member of a stack. `learn`: lengths along the axis where they are joined are found out.
    ///
    /// # Errors
    /// If one is odd, which is named.
    pub fn survey(&self, sidecar: &Path, plan: &Plan, learn: bool) -> Result<Survey, Problem> {
        let site = Site::new(&self.root, &self.store, sidecar, plan);
        let (whole, _) = prepare(&site, plan, learn)?;
        let names = whole.names().clone();
        let (mut lengths, mut missing, mut member) = (Vec::new(), Vec::new(), plan.member());
        for number in 0..names.count() {
            let mut shape = whole.shape_of(number);
            match site.look(&names, number)? {
                Found::Missing if plan.may_lack() => missing.push(names.member(number)),
                found => {
                    let array = named(&names, number, found)?;
                    if let Some(own) = whole.own_axis().filter(|_| learn)
                        && let Some(&length) = array.grid.shape().get(own)
                    {
                        shape[own] = length;
                    }
                    whole
                        .check(&shape, &array)
                        .map_err(|why| Problem::from(Refusal(format!("its member {} {why}", names.member(number)))))?;
                    member.get_or_insert_with(|| Member::of(&array));
                }
            }
            if let Some(own) = whole.own_axis() {
                lengths.push(shape[own]);
            }
        }
        let member = member.ok_or_else(|| Problem::from(Refusal("none of its members is there".into())))?;
        Ok(Survey { member, lengths, missing, count: names.count() })
    }

    /// Looks at every member of an array, if it is a stack.
    ///
    /// # Errors
    /// If one is odd, which is named.
    pub fn survey_of(&self, origin: &Origin) -> Result<Option<Survey>, Problem> {
        if !is_stack(origin) {
            return Ok(None);
        }
        self.describe(origin)?;
        let path = self.path_of(origin);
        let bytes = std::fs::read(self.root.path.join(&path)).map_err(|_| Problem::Errno(Errno::IO))?;
        self.survey(&path, &Plan::from_toml(&bytes)?, false).map(Some)
    }
}

//! Folders of random names.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Names that get in each other's way: stems, extensions and sidecars put together at random.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let stem =
        prop::sample::select(vec![&b""[..], b"a", b"b", b".", b".afbfs", b"a.npy", b"%41", b"\xff", b"a_2x2_u1"]);
    let part = prop::sample::select(vec![".npy", ".raw", ".bin", ".zz", ".toml", "."]);
    let kind = prop::sample::select(vec!["", "", "", "/"]);
    (stem, prop::collection::vec(part, 0..3), kind).prop_map(|(stem, parts, kind)| {
        let mut name = stem.to_vec();
        parts.iter().for_each(|part| name.extend(part.as_bytes()));
        name.extend(kind.as_bytes());
        name
    })
}

/// A folder's names, with sidecars for some of the files.
fn names() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec((name(), any::<bool>()), 0..9).prop_map(|drawn| {
        let mut taken = BTreeSet::new();
        let mut names = Vec::new();
        for (name, described) in drawn {
            let bare = name.strip_suffix(b"/").unwrap_or(&name).to_vec();
            if [&b""[..], b".", b".."].contains(&&bare[..]) || !taken.insert(bare.clone()) {
                continue;
            }
            let sidecar = [&bare[..], b".toml"].concat();
            if described && bare == name && taken.insert(sidecar.clone()) {
                names.push(sidecar);
            }
            names.push(name);
        }
        names
    })
}

/// Whether a file is an array file, by the words of the contract.
fn is_array(file: &[u8], names: &[Vec<u8>]) -> bool {
    let by_name = file.ends_with(b".npy") || [&b"a_2x2_u1.raw"[..], b"a_2x2_u1.bin"].contains(&file);
    by_name || names.contains(&[file, b".toml"].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_listing_shows_each_item_once_by_a_name_that_finds_it(names in names()) {
        for place in ["", "deep/"] {
            let full: Vec<Vec<u8>> = names.iter().map(|name| [place.as_bytes(), name].concat()).collect();
            let folder = source(full.iter().map(Vec::as_slice));
            fs::create_dir_all(folder.path().join(place)).unwrap();
            let catalog = open(folder.path());
            let listed = list(&catalog, place.trim_end_matches('/'));

            let shown: BTreeSet<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
            prop_assert_eq!(shown.len(), listed.len(), "{:?}", listed);
            for (name, item) in &listed {
                let found = catalog.lookup(Path::new(place), name).ok();
                prop_assert_eq!(found.as_ref(), Some(item), "{}", name);
                if let Item::Array(origin) = item {
                    prop_assert_eq!(&catalog.shown_path(origin), &format!("{place}{name}"));
                }
            }

            // Just the folders and the array files are listed, and all are found by their own names. At the root
            // `.afbfs` is ours.
            let ours = |name: &[u8]| place.is_empty() && name == b".afbfs";
            let mut expected = BTreeSet::new();
            for (name, full) in names.iter().zip(&full) {
                let bare = name.strip_suffix(b"/").unwrap_or(name);
                let path = full.strip_suffix(b"/").unwrap_or(full);
                let item = if bare != &name[..] {
                    Item::Folder(PathBuf::from(OsStr::from_bytes(path)))
                } else if is_array(name, &names) {
                    array(path)
                } else {
                    continue;
                };
                if !ours(bare) {
                    let own = crate::name::escape(bare);
                    prop_assert_eq!(catalog.lookup(Path::new(place), &own).ok(), Some(item.clone()), "{}", own);
                    expected.insert(format!("{item:?}"));
                }
            }
            let items: BTreeSet<String> = listed.iter().map(|(_, item)| format!("{item:?}")).collect();
            prop_assert_eq!(items, expected);
        }
    }
}

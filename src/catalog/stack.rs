//! Stacks: the members of one are found, described when they are touched, and opened a limited number at a time.
//!
//! A member is looked at again once it is no longer [fresh](FRESH), and found anew once it is no longer [trusted](TRUSTED), so that one that was
//! replaced, truncated or written anew is seen as it is. What a request knows of a member's layout goes into the number of
//! its piece: the member's own number below, a digest of the layout above. Whoever opens the piece gets the file only if the
//! layout is still that one, and ESTALE otherwise.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::cache::Recent;
use super::describe::Problem;
use super::resolve::Root;
use super::{Origin, Stamp, pieces};
use crate::format::stack::{INDEX_BITS, Member, Members, Named, Plan, SIDECAR, Whole};
use crate::format::{Array, Refusal};
use crate::grid::{Grid, Part, Parts};
use crate::layout::Layout;
use crate::store::{Errors, File, Pieces, Store, lock};

mod member;
mod survey;

use member::{Found, Site};
pub use survey::Survey;

/// So many members are held open, of all stacks together. Requests hold those that they use beyond that.
const HELD: usize = 128;

/// For so long a name is taken to lead to the file that it led to.
const TRUSTED: Duration = Duration::from_millis(500);

/// For so long a member is taken to be laid out as it was.
const FRESH: Duration = Duration::from_millis(1);

/// Where the sidecar does not say what a member is, the first of so many is described that is there, and the last of all.
const PROBED: u64 = 64;

/// Of so many odd members of a stack it is remembered what was said of them.
const TOLD: usize = 1024;

/// The digests of layouts that a missing member, and one that cannot be had, have.
const MISSING: u64 = 0;
const FAILED: u64 = 1;

/// Whether an array is a stack.
pub(super) fn is_stack(origin: &Origin) -> bool {
    matches!(origin, Origin::File(path) if path.as_os_str().as_encoded_bytes().ends_with(SIDECAR.as_bytes()))
}

/// What a stack is made of, as far as it was looked at to describe it.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    sidecar: PathBuf,
    plan: Arc<Plan>,
    hash: u64,
    /// Files and folders whose change may change that.
    pub(super) places: Vec<PathBuf>,
}

impl PartialEq for Watched {
    fn eq(&self, other: &Watched) -> bool {
        (&self.sidecar, &self.plan, self.hash) == (&other.sidecar, &other.plan, other.hash)
    }
}

impl Eq for Watched {}

impl Watched {
    /// Whether it is still made of the same.
    pub(super) fn holds(&self, root: &Arc<Root>, store: &Arc<Store>) -> bool {
        let site = Site::new(root, store, &self.sidecar, &self.plan);
        prepare(&site, &self.plan, false).is_ok_and(|(whole, _)| whole.digest() == self.hash)
    }
}

/// The array that a sidecar describes, its files, and what it is made of.
pub(super) fn join(
    root: &Arc<Root>,
    store: &Arc<Store>,
    opened: &Arc<pieces::Opened>,
    sidecar: &Path,
    plan: Plan,
) -> Result<(Array, Arc<dyn Pieces>, Watched), Problem> {
    let site = Site::new(root, store, sidecar, &plan);
    let (whole, places) = prepare(&site, &plan, false)?;
    let (shape, itemsize) = (whole.shape().to_vec(), whole.itemsize());
    let (axis, seams) = whole.seams();
    let (seams, digest) = (seams.clone(), whole.digest());
    let files = Arc::new(MemberFiles::new(site, whole, plan.may_lack(), opened));
    let grid = Grid::joined(&shape, itemsize, axis, seams, files.clone());
    let grid = grid.map_err(|error| Refusal(format!("it describes an array that cannot be: {error}")))?;
    let array = plan.array(&files.whole, grid)?;
    let watched = Watched { sidecar: sidecar.to_owned(), plan: Arc::new(plan), hash: digest, places };
    Ok((array, files, watched))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        Problem::Refused(refusal.0.into())
    }
}

/// The whole of a plan, and the files and folders that were looked at for it. `learn`: the lengths of the others are not known
/// yet.
fn prepare(site: &Site, plan: &Plan, learn: bool) -> Result<(Whole, Vec<PathBuf>), Problem> {
    let mut places = Vec::new();
    let names = match &plan.members {
        Members::Glob(glob) => {
            places.push(site.folder.join(&glob.folder));
            Some(glob.named(site.matching(glob)?)?)
        }
        members => members.named(),
    };
    let names = Arc::new(names.ok_or_else(|| Refusal("it names no files".into()))?);
    if let Some(member) = plan.member() {
        return Ok((plan.whole(member, names)?, places));
    }
    let last = names.count() - 1;
    let mut numbers = [0, last].into_iter().chain(1..last.min(PROBED));
    let first = numbers.find_map(|number| {
        places.push(site.path(&names, number));
        match site.look(&names, number) {
            Ok(Found::Missing) if plan.may_lack() => None,
            found => Some((number, found)),
        }
    });
    let Some((number, found)) = first else {
        return Err(Refusal(
            "none of its first members is there; add dtype and shape, which those have that may come".into(),
        )
        .into());
    };
    let array = named(&names, number, found?)?;
    let mut member = Member::of(&array);
    if let Some(dtype) = &plan.dtype {
        (member.dtype, member.element) = (dtype.clone(), None);
    }
    if let Some(shape) = &plan.shape {
        member.shape.clone_from(shape);
    }
    let whole = plan.whole(member, names.clone())?;
    let odd = |number, why| Problem::from(Refusal(format!("its member {} {why}", names.member(number))));
    whole.place(number, &array).map_err(|why| odd(number, why))?;
    if number != last && !learn {
        match site.look(&names, last)? {
            Found::Missing if plan.may_lack() => {}
            found => {
                let array = named(&names, last, found)?;
                whole.place(last, &array).map_err(|why| odd(last, why))?;
            }
        }
        places.push(site.path(&names, last));
    }
    Ok((whole, places))
}

/// The array of a member that must be one.
fn named(names: &Named, number: u64, found: Found) -> Result<Array, Problem> {
    let refuse = |why: &str| Err(Refusal(format!("its member {} {why}", names.member(number))).into());
    match found {
        Found::Array { array, .. } => Ok(*array),
        Found::Missing => refuse("is missing"),
        Found::Odd(why) => refuse(&why),
    }
}

/// A member as it was at some time.
#[derive(Clone, Debug)]
struct Held {
    since: Instant,
    checked: Instant,
    state: Arc<State>,
    errors: Arc<Errors>,
}

#[derive(Debug)]
enum State {
    There { file: Arc<File>, stamp: Stamp, layout: Arc<Layout>, digest: u64, read_only: bool },
    Missing,
    Failed(Errno),
}

impl State {
    fn digest(&self) -> u64 {
        match self {
            State::There { digest, .. } => *digest,
            State::Missing => MISSING,
            State::Failed(_) => FAILED,
        }
    }

    /// Whether there are too few descriptors for it to be held.
    fn is_short(&self) -> bool {
        match self {
            State::There { file, .. } => file.is_passing(),
            State::Missing => false,
            State::Failed(error) => matches!(*error, Errno::MFILE | Errno::NFILE),
        }
    }
}

/// The members that are held, by stack and member.
#[derive(Debug)]
pub(super) struct Opened(Mutex<Recent<(u64, u64), Held>>);

impl Default for Opened {
    fn default() -> Opened {
        Opened(Mutex::new(Recent::new(HELD)))
    }
}

impl Opened {
    /// Closes them all.
    pub(super) fn let_go(&self) {
        let all = lock(&self.0).take(|_, _, _| true);
        write_back(all, &State::Missing);
    }
}

/// The members of a stack.
#[derive(Debug)]
struct MemberFiles {
    site: Site,
    whole: Whole,
    may_lack: bool,
    opened: Arc<pieces::Opened>,
    /// Tells the members of this stack from those of others.
    own: u64,
    errors: Arc<Errors>,
    /// What the log says of odd members, so that it says it once.
    told: Mutex<HashMap<u64, String>>,
    /// What was looked up before is looked up again.
    fresh: Mutex<Instant>,
}

impl MemberFiles {
    fn new(site: Site, whole: Whole, may_lack: bool, opened: &Arc<pieces::Opened>) -> MemberFiles {
        static STACKS: AtomicU64 = AtomicU64::new(0);
        MemberFiles {
            site,
            whole,
            may_lack,
            opened: opened.clone(),
            own: STACKS.fetch_add(1, Ordering::Relaxed),
            errors: Arc::default(),
            told: Mutex::default(),
            fresh: Mutex::new(Instant::now()),
        }
    }

    /// A member as it is now, or as it was within this time.
    fn state(&self, number: u64, within: Duration) -> Arc<State> {
        let known = lock(&self.opened.members.0).get(&(self.own, number)).cloned();
        if let Some(held) = known
            && held.since.elapsed() < TRUSTED
            && held.since >= *lock(&self.fresh)
        {
            if held.checked.elapsed() < within {
                return held.state;
            }
            let is_same = match &*held.state {
                State::There { file, stamp, .. } => {
                    rustix::fs::fstat(file.fd()).is_ok_and(|stat| Stamp::from(&stat) == *stamp)
                }
                // That a member is missing, or odd, may have changed at any time.
                State::Missing | State::Failed(_) => false,
            };
            if is_same {
                let let_go = lock(&self.opened.members.0)
                    .put((self.own, number), Held { checked: Instant::now(), ..held.clone() });
                write_back(let_go, &held.state);
                return held.state;
            }
        }
        let now = Instant::now();
        let mut state = self.describe(number);
        if state.is_short() {
            drop(state);
            self.opened.let_go();
            state = self.describe(number);
        }
        let state = Arc::new(state);
        if state.is_short() {
            return state;
        }
        let held = Held { since: now, checked: now, state: state.clone(), errors: self.errors.clone() };
        let let_go = lock(&self.opened.members.0).put((self.own, number), held);
        write_back(let_go, &state);
        state
    }

    fn describe(&self, number: u64) -> State {
        match self.site.look(self.whole.names(), number) {
            Ok(Found::Array { array, file, stamp }) => match self.whole.place(number, &array) {
                Ok(layout) => {
                    let mut hasher = DefaultHasher::new();
                    (file.id(), &layout).hash(&mut hasher);
                    let digest = (hasher.finish() >> INDEX_BITS).max(FAILED + 1);
                    let read_only = array.read_only.is_some() || array.checksum.is_some();
                    file.refresh();
                    State::There { file, stamp, layout: Arc::new(layout), digest, read_only }
                }
                Err(why) => self.fail(number, &why, Errno::IO),
            },
            Ok(Found::Missing) if self.may_lack => State::Missing,
            Ok(Found::Missing) => self.fail(number, "is missing", Errno::IO),
            Ok(Found::Odd(why)) => self.fail(number, &why, Errno::IO),
            Err(error @ (Errno::MFILE | Errno::NFILE)) => State::Failed(error),
            Err(error) => self.fail(number, &format!("cannot be opened: {error}"), error),
        }
    }

    fn fail(&self, number: u64, why: &str, error: Errno) -> State {
        self.tell(number, why);
        State::Failed(error)
    }

    /// Says once what is odd about a member.
    fn tell(&self, number: u64, why: &str) {
        let mut told = lock(&self.told);
        if told.get(&number).is_some_and(|known| known == why) {
            return;
        }
        if told.len() >= TOLD {
            told.clear();
        }
        told.insert(number, why.to_owned());
        drop(told);
        log::warn!("{}: its member {} {why}", self.site.sidecar.display(), self.whole.names().member(number));
    }

    fn sync_all(&self) -> Result<(), Errno> {
        let states: Vec<Arc<State>> = {
            let held = lock(&self.opened.members.0);
            held.iter().filter(|((own, _), _)| *own == self.own).map(|(_, held)| held.state.clone()).collect()
        };
        for state in states {
            if let State::There { file, .. } = &*state
                && file.is_dirty()
            {
                file.sync_all()?;
            }
        }
        Ok(())
    }
}

/// Writes back what is let go, but for the file that is held on, without a lock: an error is noted with the array.
fn write_back(let_go: Vec<Held>, now: &State) {
    let kept = if let State::There { file, .. } = now { Some(file) } else { None };
    for Held { state, errors, .. } in let_go {
        if let State::There { file, .. } = &*state
            && kept.is_none_or(|kept| !Arc::ptr_eq(kept, file))
            && file.is_dirty()
            && let Err(error) = file.sync_all()
        {
            errors.record(error);
        }
    }
}

/// The member that a piece is of, and the digest of its layout.
fn split(piece: u64) -> (u64, u64) {
    (piece & ((1 << INDEX_BITS) - 1), piece >> INDEX_BITS)
}

impl Parts for MemberFiles {
    fn part(&self, number: u64) -> Part {
        let state = self.state(number, FRESH);
        let layout = match &*state {
            State::There { layout, .. } => layout.clone(),
            State::Missing | State::Failed(_) => Arc::new(self.whole.packed(number)),
        };
        Part { piece: number | state.digest() << INDEX_BITS, layout }
    }

    fn digest(&self) -> u64 {
        self.whole.digest()
    }
}

impl Pieces for MemberFiles {
    fn open(&self, piece: u64) -> Result<Option<Arc<File>>, Errno> {
        let (number, digest) = split(piece);
        // What was just found missing, or odd, is so for this request.
        let within = if digest > FAILED { FRESH } else { TRUSTED };
        let state = self.state(number, within);
        match &*state {
            State::Failed(error) => Err(*error),
            state if state.digest() != digest => Err(Errno::STALE),
            State::There { file, .. } => Ok(Some(file.clone())),
            State::Missing => Ok(None),
        }
    }

    fn create(&self, piece: u64) -> Result<Arc<File>, Errno> {
        self.tell(split(piece).0, "is missing, so that nothing can be written there; make the file first");
        Err(Errno::ROFS)
    }

    fn may_write(&self, piece: u64) -> Result<(), Errno> {
        let number = split(piece).0;
        match &*self.state(number, TRUSTED) {
            State::There { read_only: true, .. } => {
                self.tell(number, "is read-only, as its own file info.json says");
                Err(Errno::ROFS)
            }
            _ => Ok(()),
        }
    }

    fn let_go(&self) {
        self.opened.let_go();
    }

    fn sync(&self) -> Result<(), Errno> {
        self.sync_all().inspect_err(|&error| self.errors.record(error))
    }

    fn refresh(&self) {
        *lock(&self.fresh) = Instant::now();
    }

    fn error_mark(&self) -> u64 {
        self.errors.mark()
    }
}

impl Drop for MemberFiles {
    fn drop(&mut self) {
        if let Err(error) = self.sync_all() {
            log::error!("{}: writing back failed: {error}", self.site.sidecar.display());
        }
        let mine = lock(&self.opened.members.0).take(|(own, _), _, _| *own == self.own);
        drop(mine);
    }
}

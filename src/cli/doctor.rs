//! `afbfs doctor`: whether everything is there that mounting needs, and what to do where it is not.
//!
//! Nothing is changed. What can only be known by trying is tried: a file system is mounted in a folder for temporary files,
//! asked what the kernel offers, and unmounted.

use std::path::PathBuf;

use serde_json::json;

use super::{Failure, SourceArgs};

mod limits;
mod places;
mod rights;
mod source;
mod system;

#[derive(clap::Args, Debug)]
#[command(after_help = "Each line is ok, a note (mounting works, something is missing), or a problem. \
    The status is 0 if one can mount, and 1 if there is a problem.")]
pub(super) struct Args {
    /// What is to be mounted
    source: Option<PathBuf>,
    /// Where
    mountpoint: Option<PathBuf>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source_args: SourceArgs,
}

/// How well it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// Mounting works, but something is missing or worth knowing.
    Note,
    /// Mounting fails.
    Problem,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Note => "note",
            State::Problem => "problem",
        }
    }
}

/// What was found.
#[derive(Clone, Debug)]
struct Finding {
    topic: &'static str,
    state: State,
    says: String,
    remedy: Option<String>,
}

/// All that was found, in order.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, topic: &'static str, says: impl Into<String>) {
        self.0.push(Finding { topic, state: State::Ok, says: says.into(), remedy: None });
    }

    /// Worth knowing, though there is nothing to be done about it.
    fn fact(&mut self, topic: &'static str, says: impl Into<String>) {
        self.0.push(Finding { topic, state: State::Note, says: says.into(), remedy: None });
    }

    fn note(&mut self, topic: &'static str, says: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { topic, state: State::Note, says: says.into(), remedy: Some(remedy.into()) });
    }

    fn problem(&mut self, topic: &'static str, says: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { topic, state: State::Problem, says: says.into(), remedy: Some(remedy.into()) });
    }

    /// A problem where it is in the way of this very user, else a note.
    fn problem_if(
        &mut self,
        in_the_way: bool,
        topic: &'static str,
        says: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if in_the_way { self.problem(topic, says, remedy) } else { self.note(topic, says, remedy) }
    }

    fn problems(&self) -> usize {
        self.0.iter().filter(|finding| finding.state == State::Problem).count()
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut found = Findings::default();
    let means = rights::check(&mut found);
    system::check(&mut found, means);
    limits::check(&mut found);
    if let Some(source) = &args.source {
        source::check(&mut found, source, &args.source_args);
    }
    if let Some(point) = &args.mountpoint {
        places::check(&mut found, point, args.source.as_deref(), means);
    }
    if args.json {
        print_json(&found)?
    } else {
        print_lines(&found)?
    }
    match found.problems() {
        0 => Ok(()),
        1 => Err(Failure::new("there is a problem: this cannot be mounted")),
        count => Err(Failure(format!("there are {count} problems: this cannot be mounted"))),
    }
}

fn print_lines(found: &Findings) -> Result<(), Failure> {
    for Finding { topic, state, says, remedy } in &found.0 {
        super::print(&format!("{:<8} {topic:<12} {says}", state.name()))?;
        if let Some(remedy) = remedy {
            super::print(&format!("{:>23} {remedy}", "->"))?;
        }
    }
    Ok(())
}

fn print_json(found: &Findings) -> Result<(), Failure> {
    let entry = |Finding { topic, state, says, remedy }: &Finding| json!({ "topic": topic, "state": state.name(), "says": says, "remedy": remedy });
    let findings: Vec<_> = found.0.iter().map(entry).collect();
    let all = json!({ "can_mount": found.problems() == 0, "findings": findings });
    super::print(&serde_json::to_string_pretty(&all)?)
}

//! Where the log goes: to standard error in the foreground, to syslog or a file in the background.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use env_logger::{Builder, Env, Target};
use log::Level;

/// What is logged unless `RUST_LOG` says otherwise. A reply that the kernel could not copy out of a truncated file is the
/// reader's EIO, not a fault of ours.
const DEFAULT: &str = "warn,afbfs=info,fuser::reply=off";

/// Destination of the log.
#[derive(Clone, Copy, Debug)]
pub(super) enum Destination<'a> {
    Stderr,
    Syslog,
    File(&'a Path),
}

/// Starts logging; panics are logged as well.
///
/// # Errors
/// If the file cannot be opened.
pub(super) fn start(destination: Destination<'_>) -> io::Result<()> {
    let mut builder = Builder::from_env(Env::default().default_filter_or(DEFAULT));
    match destination {
        Destination::Stderr => {
            builder.format(|out, record| writeln!(out, "afbfs: {}: {}", word(record.level()), record.args()));
        }
        Destination::File(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            builder.target(Target::Pipe(Box::new(file)));
            builder.format(|out, record| {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                let (seconds, millis) = (now.as_secs(), now.subsec_millis());
                writeln!(out, "{seconds}.{millis:03} {}: {}", word(record.level()), record.args())
            });
        }
        Destination::Syslog => {
            builder.target(Target::Pipe(Box::new(Syslog::default())));
            builder.format(|out, record| {
                // RFC 3164, as libc's syslog(3) writes it: facility "daemon" (3) and the severity.
                let priority = 3 * 8 + severity(record.level());
                writeln!(out, "<{priority}>afbfs[{}]: {}", std::process::id(), record.args())
            });
        }
    }
    // A second start, as in tests, keeps the first logger.
    let _ = builder.try_init();
    std::panic::set_hook(Box::new(|info| log::error!("{info}")));
    Ok(())
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// A writer that sends each message to `/dev/log`. Without a syslog daemon, messages are lost.
#[derive(Default)]
struct Syslog {
    socket: Option<UnixDatagram>,
}

impl Write for Syslog {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        if self.socket.is_none() {
            let socket = UnixDatagram::unbound()?;
            if socket.connect("/dev/log").is_ok() {
                self.socket = Some(socket);
            }
        }
        let sent = self.socket.as_ref().map(|socket| socket.send(message.trim_ascii_end()));
        if !matches!(sent, Some(Ok(_))) {
            // The daemon may have been restarted: the next message connects anew.
            self.socket = None;
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

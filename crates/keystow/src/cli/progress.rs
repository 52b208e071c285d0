//! Progress of something long: a bar on a terminal, a line every five seconds elsewhere, nothing when asked so.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::{Output, plain, size};

const LINE_EVERY: Duration = Duration::from_secs(5);
const WITH_TOTAL: &str =
    "{prefix}  {wide_bar}  {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta}  {msg}";
const WITHOUT_TOTAL: &str = "{prefix}  {spinner} {binary_bytes}  {binary_bytes_per_sec}  {elapsed}  {msg}";

/// Bytes done of bytes to do. Shared by all tasks that work on them.
pub(crate) struct Progress(Shape);

enum Shape {
    Bar(ProgressBar),
    Lines(Lines),
    Silent,
}

struct Lines {
    label: String,
    position: AtomicU64,
    /// 0 = not known.
    total: AtomicU64,
    /// When, and at which position, the last line was printed; and what else there is to say.
    last: Mutex<(Instant, u64, String)>,
}

impl Progress {
    /// Starts at nothing; `total` where it is known.
    pub(crate) fn new(output: Output, label: &str, total: Option<u64>) -> Self {
        let label = plain(label);
        if output.quiet {
            return Self(Shape::Silent);
        }
        if !std::io::stderr().is_terminal() {
            return Self(Shape::Lines(Lines {
                label,
                position: AtomicU64::new(0),
                total: AtomicU64::new(total.unwrap_or(0)),
                last: Mutex::new((Instant::now(), 0, String::new())),
            }));
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_prefix(label);
        bar.set_style(style(total.is_some()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(Shape::Bar(bar))
    }

    /// Says how much there is in all.
    pub(crate) fn set_total(&self, total: u64) {
        match &self.0 {
            Shape::Bar(bar) if bar.length() != Some(total) => {
                bar.set_style(style(true));
                bar.set_length(total);
            }
            Shape::Lines(lines) => lines.total.store(total, Ordering::Relaxed),
            Shape::Bar(_) | Shape::Silent => {}
        }
    }

    /// Says how much is done.
    pub(crate) fn set(&self, position: u64) {
        match &self.0 {
            Shape::Bar(bar) => bar.set_position(position),
            Shape::Lines(lines) => {
                lines.position.store(position, Ordering::Relaxed);
                lines.print_if_due();
            }
            Shape::Silent => {}
        }
    }

    /// Takes bytes done in an earlier run as given, so that the rate is this run's.
    pub(crate) fn begin_at(&self, position: u64) {
        if let Shape::Bar(bar) = &self.0 {
            bar.set_position(position);
            bar.reset_eta();
        } else if let Shape::Lines(lines) = &self.0 {
            lines.position.store(position, Ordering::Relaxed);
            lines.last.lock().unwrap_or_else(PoisonError::into_inner).1 = position;
        }
    }

    /// Says that more is done.
    pub(crate) fn add(&self, bytes: u64) {
        match &self.0 {
            Shape::Bar(bar) => bar.inc(bytes),
            Shape::Lines(lines) => {
                lines.position.fetch_add(bytes, Ordering::Relaxed);
                lines.print_if_due();
            }
            Shape::Silent => {}
        }
    }

    /// Says something beside the figures, such as the phase.
    pub(crate) fn say(&self, message: impl Into<Cow<'static, str>>) {
        match &self.0 {
            Shape::Bar(bar) => bar.set_message(message),
            Shape::Lines(lines) => {
                lines.last.lock().unwrap_or_else(PoisonError::into_inner).2 = message.into().into_owned();
                lines.print_if_due();
            }
            Shape::Silent => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shape::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    fn print_if_due(&self) {
        // Several tasks may report at once; one line is enough.
        let Ok(mut last) = self.last.try_lock() else { return };
        let elapsed = last.0.elapsed();
        if elapsed < LINE_EVERY {
            return;
        }
        let position = self.position.load(Ordering::Relaxed);
        let total = self.total.load(Ordering::Relaxed);
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = position.saturating_sub(last.1).saturating_mul(1000) / millis;
        let line = progress_line(&self.label, position, total, rate, &last.2);
        last.0 = Instant::now();
        last.1 = position;
        // Nobody is left to tell if stderr is closed.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}

fn progress_line(label: &str, position: u64, total: u64, rate: u64, message: &str) -> String {
    let of = if total > 0 { format!(" of {}", size(total)) } else { String::new() };
    let left = if total > position && rate > 0 {
        format!(", {} s left", (total - position).div_ceil(rate))
    } else {
        String::new()
    };
    let message = if message.is_empty() { String::new() } else { format!(", {message}") };
    format!("{label}: {}{of}, {}/s{left}{message}", size(position), size(rate))
}

fn style(has_total: bool) -> ProgressStyle {
    let template = if has_total { WITH_TOTAL } else { WITHOUT_TOTAL };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_rate_and_the_time_left() {
        let line = progress_line("dump.rdb", 1 << 20, 3 << 20, 1 << 20, "1 retry");
        assert_eq!(line, "dump.rdb: 1.00 MiB of 3.00 MiB, 1.00 MiB/s, 2 s left, 1 retry");
        assert_eq!(progress_line("x", 5, 0, 0, ""), "x: 5 B, 0 B/s");
    }

    #[test]
    fn both_templates_are_well_formed() {
        for template in [WITH_TOTAL, WITHOUT_TOTAL] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}

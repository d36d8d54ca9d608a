//! The process' own figures: CPU time, memory, descriptors, threads.
//!
//! CPU times come from the system calls that count in nanoseconds or microseconds, so that they have fractions; the rest from
//! `/proc`, and where there is none it is missing rather than 0.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the process used by now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Process {
    /// User and system CPU time of all threads, in seconds.
    pub cpu: f64,
    /// Resident memory in bytes.
    pub resident: Option<u64>,
    /// Resident memory at its highest, in bytes.
    pub resident_peak: Option<u64>,
    /// Virtual memory in bytes.
    pub virtual_memory: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// How many file descriptors may be open.
    pub max_fds: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// When it started (Unix seconds).
    pub start: f64,
}

impl Process {
    /// Reads the figures.
    pub fn read() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").ok();
        let field = |name: &str| -> Option<u64> {
            let line = status.as_deref()?.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
        };
        Self {
            cpu: cpu_time().as_secs_f64(),
            resident: field("VmRSS").map(|kib| kib * 1024),
            resident_peak: field("VmHWM").map(|kib| kib * 1024),
            virtual_memory: field("VmSize").map(|kib| kib * 1024),
            open_fds: open_fds(),
            max_fds: max_fds(),
            threads: field("Threads"),
            start: start_time(),
        }
    }
}

fn timeval(time: libc::timeval) -> Duration {
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

/// User and system CPU time of all the process' threads. Its increase over that of the clock, divided by the cores, is how busy
/// the generator is.
pub fn cpu_time() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is a writable rusage, zeroed and so valid for every outcome of the call.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    timeval(usage.ru_utime) + timeval(usage.ru_stime)
}

/// The clock of a thread's CPU time, readable from any thread; how busy a worker is.
#[derive(Debug, Clone, Copy)]
pub struct ThreadClock(libc::clockid_t);

impl ThreadClock {
    /// That of the calling thread.
    #[cfg(target_os = "linux")]
    pub fn of_this_thread() -> Option<Self> {
        let mut id = 0;
        // SAFETY: the thread is this one, and `id` is writable.
        let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut id) };
        (failed == 0).then_some(Self(id))
    }

    /// There is none here.
    #[cfg(not(target_os = "linux"))]
    pub fn of_this_thread() -> Option<Self> {
        None
    }

    /// What the thread has used so far; 0 once it has ended.
    pub fn read(self) -> Duration {
        clock(self.0)
    }
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a writable timespec; on failure it stays 0.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How many file descriptors may be open (the soft limit); none if there is no limit.
pub fn max_fds() -> Option<u64> {
    let limit = fd_limit();
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// To how many file descriptors this process may raise that (the hard limit); none if there is no limit.
pub fn most_fds() -> Option<u64> {
    let limit = fd_limit();
    (limit.rlim_max != libc::RLIM_INFINITY).then_some(limit.rlim_max)
}

/// Raises the soft limit of file descriptors to the hard one. Does nothing where the system refuses.
pub fn raise_max_fds() {
    let mut limit = fd_limit();
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid rlimit that outlives the call.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
}

fn fd_limit() -> libc::rlimit {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a writable rlimit; on failure it stays infinite.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit
}

/// How many file descriptors are open, the one that counts them not included.
fn open_fds() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").or_else(|_| std::fs::read_dir("/dev/fd")).ok()?;
    Some((entries.count() as u64).saturating_sub(1))
}

/// When the process started: from `/proc` in clock ticks since boot, else when this was first asked.
fn start_time() -> f64 {
    static START: OnceLock<f64> = OnceLock::new();
    *START.get_or_init(|| start_from_proc().unwrap_or_else(|| unix_time(SystemTime::now())))
}

fn start_from_proc() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the command in parentheses, which may hold anything; the start time is the 22nd.
    let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let boot = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    // SAFETY: sysconf takes no pointer.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    (per_second > 0).then(|| boot + ticks / per_second as f64)
}

/// A time in Unix seconds, as the gauges want it.
pub fn unix_time(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_grows_with_work_and_has_fractions() {
        let process = cpu_time();
        let thread = clock(libc::CLOCK_THREAD_CPUTIME_ID);
        let mut x = 1u64;
        while clock(libc::CLOCK_THREAD_CPUTIME_ID) - thread < Duration::from_millis(20) {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        let used = cpu_time() - process;
        assert!(used >= Duration::from_millis(10), "{used:?} for at least 20 ms of work");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_measured_from_another() {
        let (clocks, given) = std::sync::mpsc::channel();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            clocks.send(ThreadClock::of_this_thread().unwrap()).unwrap();
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {}
        });
        let clock = given.recv().unwrap();
        let before = clock.read();
        while clock.read() < before + Duration::from_millis(20) {
            std::thread::yield_now();
        }
        drop(stop);
        thread.join().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn figures_are_plausible() {
        let opened = std::fs::File::open("/proc/self/status").unwrap();
        let process = Process::read();
        drop(opened);
        assert!(process.resident.unwrap() > 100_000 && process.virtual_memory > process.resident);
        assert!(process.resident_peak >= process.resident);
        assert!(process.open_fds.unwrap() >= 4 && process.open_fds <= process.max_fds);
        assert!(process.threads.unwrap() >= 1);
        let now = unix_time(SystemTime::now());
        assert!(process.start <= now + 1.0 && process.start > now - 86_400.0, "{} at {now}", process.start);
    }
}

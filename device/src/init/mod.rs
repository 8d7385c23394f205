//! The box as an appliance, this program being the first process of a small Linux system with one other program, which checks the card.
//!
//! The kernel starts it as `/init` of an initial file system that holds only it, drivers and e2fsck. It mounts what it needs, loads
//! the drivers, opens the screen, finds both partitions of the memory card by their labels, and starts itself again as a
//! worker, which is the box as anywhere else, and not root (`rights`). Then it stays: it starts a worker that has died
//! again, ends one that hangs, and feeds the hardware's watchdog from the first moment on, so that a box that hangs
//! altogether starts again. The boot partition is mounted read-only: nothing is ever written there. A memory stick is mounted
//! read-only as well, while it is in, for a process of its own (`stick`). Where the settings turn the Ethernet port on, it sets that
//! up and hands the worker the one socket that listens (`network`).
//!
//! A worker that fails again and again is replaced by one in safe mode, which judges nothing and still hands out the results.
//! Should that fail as well, the box restarts, three times at most until a worker was well.
//!
//! The program can be replaced by one that comes over the line, which is on trial first: `software` says how.

mod check;
mod drivers;
mod filesystem;
mod network;
mod restarts;
mod rights;
mod signals;
mod software;
mod stick;
mod storage;
pub mod supervisor;
mod watchdog;

pub use self::{
    rights::restrict,
    signals::on_end,
    supervisor::{BEAT_EVERY, is_supervised, listener, say_ready, sign_of_life},
};

use std::{
    fs::{File, OpenOptions, create_dir_all},
    io,
    net::TcpListener,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::{
    fs::sync,
    mount::{MountFlags, mount},
    stdio::dup2_stderr,
    system::{RebootCommand, reboot},
};
use shared::appliance::card::{BOOT, DRIVER_LIST, FRAMEBUFFER, INIT, NETWORK_DRIVER_LIST, SETTINGS, SOFTWARE, on_box};

use self::{
    network::Network,
    restarts::Restarts,
    rights::WORKER,
    software::{Software, TRIAL_WITHIN},
    storage::{DATA, Storage},
    supervisor::{Event, Limits, SUPERVISED, Supervisor},
    watchdog::Watchdog,
};
use crate::{
    screen::{Identity, Language, Scene, Step, Trouble, View, draw, sink::Framebuffer},
    stick::SOCKET,
};

/// How often it is looked whether the card is there.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the card may take before its absence is reported.
const CARD_WITHIN: Duration = Duration::from_secs(15);
/// How long the drivers may take together, and one attempt to mount the card, before the box restarts.
const STEP_WITHIN: Duration = Duration::from_secs(300);
/// The same from one look after the worker to the next; there is one every second.
const LOOK_WITHIN: Duration = Duration::from_secs(10);
/// How often the box restarts itself until a worker was well.
const MOST_RESTARTS: u64 = 3;
/// The file on the data partition that counts them.
const RESTARTS: &str = "restarts";

/// Whether the kernel has started this process as the first one of the system. In a container, too, the first process has
/// the number 1, but not this name.
pub fn is_first_process() -> bool {
    std::process::id() == 1 && std::env::args_os().next().is_some_and(|name| name == INIT)
}

/// Shows on the screen why a worker cannot start that has not opened the screen yet.
pub fn show_failure(error: &str) {
    Screen::default().show(View::error(Trouble::Failed(error.to_owned())));
}

/// Runs the appliance; never returns.
pub fn run() -> ! {
    if let Err(error) = mount_system() {
        crate::say(format_args!("cannot mount the kernel's file systems: {error}"));
    }
    // Else the kernel drops what comes faster than ten lines in five seconds, which may be why a worker has ended. It takes the
    // word with the end of the line only.
    if let Err(error) = std::fs::write("/proc/sys/kernel/printk_devkmsg", "on\n") {
        crate::say(format_args!("lines of this log may be lost: {error}"));
    }
    if let Ok(log) = OpenOptions::new().write(true).open("/dev/kmsg") {
        // Without it the kernel's console is written to, which serves as well.
        let _ = dup2_stderr(&log);
    }
    crate::say(format_args!("starting, version {}", env!("CARGO_PKG_VERSION")));
    deafen_keyboards();
    let watchdog = Watchdog::start("/dev/watchdog".into(), STEP_WITHIN);
    let mut screen = Screen::default();
    screen.show(View::Starting { step: Step::Drivers });
    for (name, error) in drivers::load(Path::new(DRIVER_LIST)) {
        crate::say(format_args!("the driver {name} cannot be loaded: {error}"));
    }
    screen.show(View::Starting { step: Step::Storage });
    let started = software::started();
    let storage = open_storage(&mut screen, &watchdog, started.is_some_and(|started| started.is_trial));
    drop(screen);
    let restarts = Restarts::new(Path::new(DATA).join(RESTARTS), MOST_RESTARTS);
    prepare(&restarts);
    let mut software = Software::start(started, storage.boot(), Path::new(DATA));
    let sticks = match stick::watch() {
        Ok(sticks) => Some(sticks),
        Err(error) => {
            crate::say(format_args!("memory sticks are not looked for: {error}"));
            None
        }
    };
    let worker = |mode| {
        let mut command = Command::new("/proc/self/exe");
        // Other groups than this one it has none, and with root go all capabilities.
        command.uid(WORKER).gid(WORKER);
        // On the boot partition anybody can edit them who puts the card into a computer.
        command.args(["--config", &on_box(SETTINGS), "--state-dir", DATA]).env(SUPERVISED, "1");
        if mode == supervisor::Mode::Safe {
            command.arg("--safe-mode");
        }
        match sticks.as_ref().map(|sticks| sticks.try_clone()) {
            Some(Ok(sticks)) => command.stdin(OwnedFd::from(sticks)).env(SOCKET, "1"),
            _ => command.stdin(Stdio::null()),
        };
        // Memory of images and screens goes back to the system at once, instead of lying about in pieces.
        command.env("MALLOC_MMAP_THRESHOLD_", "65536").env("MALLOC_ARENA_MAX", "1");
        command
    };
    let mut supervisor = Supervisor::new(worker, Limits::default());
    let mut network = ethernet().map(|(network, listener)| {
        supervisor.hand_over(listener);
        network
    });
    let mut mode = supervisor::Mode::Normal;
    loop {
        supervisor.run(mode, |event| match event {
            Event::Tick => {
                watchdog.allow(LOOK_WITHIN);
                rights::hand_over_devices(Path::new("/dev"));
                if let Some(network) = &mut network {
                    network.look();
                }
                // What ends a trial may read all of a bundle that is left over.
                watchdog.allow(if software.is_on_trial() { STEP_WITHIN } else { LOOK_WITHIN });
                if software.look() {
                    restart();
                }
                watchdog.allow(LOOK_WITHIN);
            }
            Event::Ready => software.serves(),
            // A program on trial gives way instead.
            Event::Unsafe => {
                if software.fail() {
                    restart();
                }
            }
            Event::Well => {
                if let Err(error) = restarts.forget() {
                    crate::say(format_args!("the restarts of before still count: {error}"));
                }
            }
        });
        match restarts.another() {
            Ok(true) => restart(),
            Ok(false) => crate::say(format_args!("{MOST_RESTARTS} restarts have not helped; it stays in safe mode")),
            Err(error) => crate::say(format_args!("restarts cannot be counted ({error}), so there is none")),
        }
        mode = supervisor::Mode::Safe;
    }
}

/// The Ethernet port and the socket on it, where the settings on the card turn it on. Nothing of the network is even loaded
/// otherwise.
fn ethernet() -> Option<(Network, TcpListener)> {
    let wired = network::of_card(Path::new(&on_box(SETTINGS)))?;
    network::harden(Path::new("/proc/sys/net"));
    for (name, error) in drivers::load(Path::new(NETWORK_DRIVER_LIST)) {
        crate::say(format_args!("the driver {name} cannot be loaded: {error}"));
    }
    let opened = network::listener(&wired).and_then(|listener| Ok((Network::new(wired)?, listener)));
    match opened {
        Ok((mut network, listener)) => {
            network.look();
            Some((network, listener))
        }
        Err(error) => {
            crate::say(format_args!("the Ethernet port stays off: {error}"));
            None
        }
    }
}

/// Makes ready what the worker needs, which is not root.
fn prepare(restarts: &Restarts) {
    // Made first, so that the worker cannot put anything in its place.
    if let Err(error) = restarts.make() {
        crate::say(format_args!("restarts cannot be counted: {error}"));
    }
    if let Err(error) = rights::hand_over_data(Path::new(DATA), &[RESTARTS, SOFTWARE]) {
        crate::say(format_args!("the data partition cannot be handed over to the worker: {error}"));
    }
    // In a user namespace a process is root again, and reaches code of the kernel that is for root.
    if let Err(error) = std::fs::write("/proc/sys/user/max_user_namespaces", "0\n") {
        crate::say(format_args!("user namespaces are not switched off: {error}"));
    }
    rights::hand_over_devices(Path::new("/dev"));
}

/// Restarts the machine.
fn restart() {
    crate::say(format_args!("the machine restarts"));
    sync();
    if let Err(error) = reboot(RebootCommand::Restart) {
        crate::say(format_args!("it cannot be restarted: {error}"));
    }
}

/// A keyboard on the box turns pages. It does not restart it (Ctrl-Alt-Del), nor give orders to the kernel (SysRq).
fn deafen_keyboards() {
    if let Err(error) = reboot(RebootCommand::CadOff) {
        crate::say(format_args!("Ctrl-Alt-Del restarts the box: {error}"));
    }
    if let Err(error) = std::fs::write("/proc/sys/kernel/sysrq", "0\n") {
        crate::say(format_args!("the kernel obeys the key SysRq: {error}"));
    }
}

/// `/proc`, `/sys` and `/dev` as every Linux system has them.
fn mount_system() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        create_dir_all(at)?;
        mount(kind, at, kind, flags, None)?;
    }
    Ok(())
}

/// Mounts both partitions. A card that is missing or damaged is reported on the screen, and waited for; on trial not for long, because
/// the program of before may find it.
fn open_storage(screen: &mut Screen, watchdog: &Watchdog, mut is_on_trial: bool) -> Storage {
    let start = Instant::now();
    let mut told = String::new();
    loop {
        // A card that is missing or damaged says so, however often; one that hangs does not come by here again.
        watchdog.allow(STEP_WITHIN);
        let found = Storage::find(Path::new("/sys/class/block"), Path::new("/dev"));
        match found.and_then(|storage| storage.mount().map(|()| storage)) {
            Ok(storage) => {
                crate::say(format_args!("the card is mounted at {BOOT} and {DATA}"));
                return storage;
            }
            Err(error) if told != error.to_string() && start.elapsed() > CARD_WITHIN => {
                told = error.to_string();
                crate::say(format_args!("{told}"));
                screen.show(View::error(Trouble::Failed(told.clone())));
            }
            Err(_) => {}
        }
        if is_on_trial && start.elapsed() > TRIAL_WITHIN {
            is_on_trial = false;
            restart();
        }
        sleep(LOOK_EVERY);
    }
}

/// The screen, as soon as there is one. It speaks English: the configuration is on the card.
#[derive(Default)]
struct Screen(Option<Framebuffer>);

impl Screen {
    fn show(&mut self, view: View) {
        if self.0.is_none() && File::open(FRAMEBUFFER).is_ok() {
            self.0 = Framebuffer::open(Path::new(FRAMEBUFFER)).map_err(|e| crate::say(format_args!("{e}"))).ok();
        }
        if let Some(framebuffer) = &self.0 {
            let scene = Scene { identity: Identity::default(), view };
            if let Err(error) = framebuffer.write(&draw(&scene, framebuffer.size(), Language::default())) {
                crate::say(format_args!("{error}"));
            }
        }
    }
}

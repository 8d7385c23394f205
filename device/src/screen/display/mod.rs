//! The thread that draws, so that drawing never keeps the line waiting.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use embedded_graphics::pixelcolor::{Rgb888, RgbColor};

use super::{
    Language, Scene, ScreenSize, Trouble, View, draw,
    frame::Frame,
    sink::{Folder, Framebuffer, SinkError, png},
};
use crate::config::Settings;

/// Where the picture goes: nowhere, or to a folder, a framebuffer, or both.
#[derive(Debug)]
pub struct Sinks {
    size: ScreenSize,
    language: Language,
    folder: Option<Folder>,
    framebuffer: Option<Framebuffer>,
}

impl Sinks {
    /// Opens what the settings name. A framebuffer decides the size.
    pub fn open(settings: &Settings) -> Result<Self, SinkError> {
        let framebuffer = settings.framebuffer.as_deref().map(Framebuffer::open).transpose()?;
        let framebuffer = framebuffer.map(|framebuffer| framebuffer.turned(settings.rotation));
        let folder = settings.screen_dir.as_deref().map(Folder::create).transpose()?;
        let size = framebuffer.as_ref().map_or(settings.screen_size, Framebuffer::size);
        Ok(Self { size, language: settings.language, folder, framebuffer })
    }

    /// The folder, if there is one.
    pub fn folder(&self) -> Option<&Folder> {
        self.folder.as_ref()
    }

    fn show(&self, frame: &Frame) -> Result<(), SinkError> {
        // One that fails does not keep the picture from the other.
        let framebuffer = self.framebuffer.as_ref().map_or(Ok(()), |framebuffer| framebuffer.write(frame));
        let folder = self.folder.as_ref().map_or(Ok(()), |folder| folder.write(&png(frame)?));
        framebuffer.and(folder)
    }
}

/// A picture that could not be shown is tried again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// A scene that has not been drawn after this time never will be: something is stuck, and the screen still shows what may be
/// another child's result.
const TURN_WITHIN: Duration = Duration::from_secs(5);

enum Order {
    Show(Box<Scene>),
    Screenshot(Box<dyn FnOnce(Option<Vec<u8>>) + Send>),
}

/// Shows scenes on a thread of its own, the newest first; what is left when it is dropped is still shown.
#[derive(Debug)]
pub struct Display {
    orders: Option<Sender<Order>>,
    thread: Option<thread::JoinHandle<()>>,
    /// Closed when the thread ends.
    ended: Receiver<()>,
    watched: Arc<Watched>,
    turn_within: Duration,
}

/// What the thread tells of itself.
#[derive(Debug)]
struct Watched {
    turns: Mutex<Turns>,
    turned: Condvar,
    /// The last picture could not be shown.
    failing: AtomicBool,
}

/// Which scenes have had their turn: they were drawn and written, or a newer one was.
#[derive(Debug)]
struct Turns {
    /// Scenes that have not.
    waiting: usize,
    /// When the last one had, or the first of those that wait was ordered, whichever was later.
    since: Instant,
}

impl Display {
    /// Starts the thread.
    pub fn start(sinks: Sinks) -> Self {
        Self::start_with(sinks, draw)
    }

    fn start_with(sinks: Sinks, draw: impl Fn(&Scene, ScreenSize, Language) -> Frame + Send + 'static) -> Self {
        let (orders, received) = channel();
        let (ends, ended) = channel();
        let turns = Mutex::new(Turns { waiting: 0, since: Instant::now() });
        let watched = Arc::new(Watched { turns, turned: Condvar::new(), failing: AtomicBool::new(false) });
        let told = watched.clone();
        let thread = thread::spawn(move || {
            let _ends: Sender<()> = ends;
            if catch_unwind(AssertUnwindSafe(|| work(&sinks, &received, &told, &draw))).is_err() {
                // What the screen shows would stay for ever. What keeps the program running starts it again.
                std::process::abort();
            }
        });
        Self { orders: Some(orders), thread: Some(thread), ended, watched, turn_within: TURN_WITHIN }
    }

    /// Gives a scene this long to have its turn, instead of 5 s.
    pub fn set_turn_within(&mut self, limit: Duration) {
        self.turn_within = limit;
    }

    /// Whether the thread has stopped: a scene has waited for its turn for too long at a time. Only another start of the
    /// program helps.
    pub fn has_stopped(&self, now: Instant) -> bool {
        let turns = lock(&self.watched.turns);
        turns.waiting > 0 && now.saturating_duration_since(turns.since) > self.turn_within
    }

    /// Whether the last picture could not be shown: the screen may go on showing the one before. It is tried again every
    /// second.
    pub fn is_failing(&self) -> bool {
        self.watched.failing.load(Ordering::Acquire)
    }

    /// Waits until every scene so far has had its turn, at most this long.
    pub fn settle(&self, limit: Duration) {
        let turns = lock(&self.watched.turns);
        // Whether they have had it by then is not asked here.
        let _ = self.watched.turned.wait_timeout_while(turns, limit, |turns| turns.waiting > 0);
    }

    /// Shows a scene, unless a newer one follows before its turn.
    pub fn show(&self, scene: Scene) {
        {
            let mut turns = lock(&self.watched.turns);
            if turns.waiting == 0 {
                turns.since = Instant::now();
            }
            turns.waiting += 1;
        }
        self.order(Order::Show(Box::new(scene)));
    }

    /// Hands over the PNG file of what is then on the screen; `None` if it cannot be made.
    pub fn screenshot(&self, take: impl FnOnce(Option<Vec<u8>>) + Send + 'static) {
        self.order(Order::Screenshot(Box::new(take)));
    }

    fn order(&self, order: Order) {
        // The thread ends only when the sender is dropped, or the whole program with it.
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.orders.take();
        // One that has stopped is left behind: waiting for it would keep the program from ending.
        if self.has_stopped(Instant::now())
            || self.ended.recv_timeout(self.turn_within) == Err(RecvTimeoutError::Timeout)
        {
            return crate::say(format_args!("the screen has stopped, and may show what is past"));
        }
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

/// A panic leaves both numbers as good as they were.
fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(
    sinks: &Sinks,
    orders: &Receiver<Order>,
    watched: &Watched,
    draw: &impl Fn(&Scene, ScreenSize, Language) -> Frame,
) {
    let mut scene: Option<Box<Scene>> = None;
    let mut frame: Option<Frame> = None;
    let mut troubled = false;
    loop {
        // What could not be shown is shown as soon as that is possible: the screen may still show another child's result.
        let first = match if troubled { orders.recv_timeout(AGAIN) } else { orders.recv().map_err(Into::into) } {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut takers = Vec::new();
        let mut changed = troubled;
        let mut taken = 0;
        for order in first.into_iter().chain(orders.try_iter()) {
            match order {
                Order::Show(new) => {
                    changed |= scene.as_ref() != Some(&new);
                    scene = Some(new);
                    taken += 1;
                }
                Order::Screenshot(take) => takers.push(take),
            }
        }
        if let (Some(scene), true) = (&scene, changed) {
            frame = drawn(scene, sinks, draw);
            let shown = match &frame {
                Some(frame) => sinks.show(frame),
                None => sinks.show(&Frame::new(sinks.size.width, sinks.size.height, Rgb888::BLACK)),
            };
            if let (Err(error), false) = (&shown, troubled) {
                crate::say(format_args!("{error}"));
            }
            // A scene that cannot be shown has had its turn as well: it is tried again.
            troubled = shown.is_err();
            watched.failing.store(troubled, Ordering::Release);
        }
        if taken > 0 {
            let mut turns = lock(&watched.turns);
            (turns.waiting, turns.since) = (turns.waiting.saturating_sub(taken), Instant::now());
            watched.turned.notify_all();
        }
        takers.into_iter().for_each(|take| take(frame.as_ref().and_then(|frame| png(frame).ok())));
    }
}

/// Draws a scene, or that it could not be drawn; `None` if not even that can be. A panic over one scene must neither leave
/// the one before on the screen, which may be the verdict on another child, nor end the thread.
fn drawn(scene: &Scene, sinks: &Sinks, draw: &impl Fn(&Scene, ScreenSize, Language) -> Frame) -> Option<Frame> {
    const CAUSE: &str = "the screen could not be drawn";
    let attempt = |scene: &Scene| catch_unwind(AssertUnwindSafe(|| draw(scene, sinks.size, sinks.language))).ok();
    attempt(scene).or_else(|| {
        crate::say(format_args!("{CAUSE}: report the panic above and what was to be shown; the box continues"));
        attempt(&Scene { identity: scene.identity.clone(), view: View::error(Trouble::Failed(CAUSE.to_owned())) })
    })
}

#[cfg(test)]
mod tests;

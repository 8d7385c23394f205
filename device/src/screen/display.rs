//! The thread that draws, so that drawing never keeps the line waiting.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use super::{
    Language, Scene, draw,
    frame::Frame,
    sink::{Folder, Framebuffer, SinkError, png},
};
use crate::config::{ScreenSize, Settings};

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

enum Order {
    Show(Box<Scene>),
    Picture(Box<dyn FnOnce(Option<Vec<u8>>) + Send>),
}

/// Shows scenes on a thread of its own, the newest first; what is left when it is dropped is still shown.
#[derive(Debug)]
pub struct Display {
    orders: Option<Sender<Order>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Display {
    /// Starts the thread.
    pub fn start(sinks: Sinks) -> Self {
        let (orders, received) = channel();
        let thread = thread::spawn(move || work(&sinks, &received));
        Self { orders: Some(orders), thread: Some(thread) }
    }

    /// Shows a scene, unless a newer one follows before its turn.
    pub fn show(&self, scene: Scene) {
        self.order(Order::Show(Box::new(scene)));
    }

    /// Hands over the PNG file of what is then on the screen; `None` if it cannot be made.
    pub fn picture(&self, take: impl FnOnce(Option<Vec<u8>>) + Send + 'static) {
        self.order(Order::Picture(Box::new(take)));
    }

    fn order(&self, order: Order) {
        // The thread ends only when the sender is dropped.
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.orders.take();
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

fn work(sinks: &Sinks, orders: &Receiver<Order>) {
    let mut scene: Option<Box<Scene>> = None;
    let mut troubled = false;
    while let Ok(first) = orders.recv() {
        let mut takers = Vec::new();
        let mut changed = false;
        for order in std::iter::once(first).chain(orders.try_iter()) {
            match order {
                Order::Show(new) => {
                    changed |= scene.as_ref() != Some(&new);
                    scene = Some(new);
                }
                Order::Picture(take) => takers.push(take),
            }
        }
        let Some(scene) = &scene else {
            takers.into_iter().for_each(|take| take(None));
            continue;
        };
        if changed || !takers.is_empty() {
            let frame = draw(scene, sinks.size, sinks.language);
            let shown = if changed { sinks.show(&frame) } else { Ok(()) };
            if let (Err(error), false) = (&shown, troubled) {
                crate::say(format_args!("{error}"));
            }
            troubled = shown.is_err();
            takers.into_iter().for_each(|take| take(png(&frame).ok()));
        }
    }
}

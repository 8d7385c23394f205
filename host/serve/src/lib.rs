//! `pumua serve`: a page on which a clinic drops X-rays and reads the answers.
//!
//! - [`Server`]: answers browsers, on threads of the standard library, within stated limits;
//! - [`Judge`]: whoever judges: the command line brings one with a model, and one that asks a box;
//! - [`Courier`]: takes another program to the box that judges, while no film waits;
//! - [`Intake`]: the one way in for films, whatever brings them: when it returns, the film is on the disk and will be judged;
//! - the store: films, answers and pictures in a folder, acknowledged only when they are safely written;
//! - the watched folder ([`Watch`]): complete files only, each once;
//! - the DICOM node ([`Node`]): consoles send to it as to an archive;
//! - the outbox ([`Pacs`]): answers go back to an archive, as images of the films' studies or as structured reports;
//! - the page: HTML of this program's own making, one script, one style sheet, nothing from elsewhere.
//!
//! A browser makes one request a connection. A server for thousands of clients (axum on tokio: 19 crates more) would be
//! compiled by everybody and used by one clinic; `httparse` reads the requests, and nothing else is needed.
//!
//! Pumua is a research aid, not a medical device.
#![forbid(unsafe_code)]

mod gate;
mod http;
mod intake;
mod judge;
mod node;
mod outbox;
mod page;
mod record;
mod server;
mod stop;
mod store;
mod update;
mod watch;
mod words;

pub use self::{
    intake::{Intake, IntakeError, Receipt},
    judge::{Judge, Judged, Unavailable},
    node::{Node, Peer, PeerError, Title, TitleError},
    outbox::{Archive, ArchiveError, Draw, Drawing, Format, FormatError, Pacs, Sheet},
    record::{Answer, By, Opinion, Outcome, Pictures, Record, Said, Source},
    server::{ServeError, Server, Settings},
    stop::Stop,
    store::{Bounds, FIRST_TURNS, StoreError},
    update::{Contents, Courier, Ending, Errand, NotSent, Sending, Step},
    watch::{After, AfterError, Watch},
};

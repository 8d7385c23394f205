//! `pumua serve`, the real program, on free ports of this computer.

#[path = "../../../../host/serve/tests/client/mod.rs"]
#[allow(dead_code, reason = "the tests of the crate use the rest")]
pub(crate) mod client;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
};

use client::Page;
use system_tests::command;

/// A program that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // As a power cut does.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Serving {
    pub(crate) page: Page,
    _child: Running,
}

impl Serving {
    /// Starts it with these options.
    pub(crate) fn start(store: &Path, options: &[&str]) -> Self {
        let mut child = command("pumua");
        child.args(["serve", "--listen", "127.0.0.1:0", "--store"]).arg(store).args(options);
        Self::of(child.stdout(Stdio::piped()).spawn().unwrap())
    }

    /// One that has been started, and says on its standard output where its page is.
    pub(crate) fn of(child: Child) -> Self {
        let mut child = Running(child);
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/'));
        let page = Page::at(address.unwrap_or_else(|| panic!("no page: {line:?}")).parse().unwrap());
        Self { page, _child: child }
    }

    /// Port of the node, as the page says it.
    #[allow(dead_code, reason = "some have none")]
    pub(crate) fn port(&self) -> String {
        let state = self.page.get("/state").text();
        let (_, rest) = state.split_once("AE title PUMUA, address 127.0.0.1, port ").expect("the state names the node");
        rest.chars().take_while(char::is_ascii_digit).collect()
    }
}

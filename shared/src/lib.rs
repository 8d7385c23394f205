//! What host and clinic box must agree on, defined once.
//!
//! - [`accession`]: an exam's id from the accession number of its file;
//! - [`age`]: how old a patient is, and those whom a model is for;
//! - [`appliance`]: the box's memory card, serial ports and settings;
//! - [`calendar`]: dates from seconds;
//! - [`cell`]: text in a table that a spreadsheet may open;
//! - [`contract`]: what a model expects as its input;
//! - [`evidence`]: what speaks for pneumonia at each place of a radiograph, and how that is drawn;
//! - [`preprocess`]: pixels of a radiograph → the model's input, in integers, so that every processor
//!   gives the same bytes;
//! - [`guard`]: what should not be judged: no radiograph, no chest, upside down, a negative;
//! - [`rates`]: what the box says of labelled radiographs, counted;
//! - [`results`]: stored results as a table;
//! - [`shown`]: text from outside, made harmless where people read it;
//! - [`signals`]: which signals a program is to leave alone;
//! - [`text`]: text files, in UTF-8 or not;
//! - [`verdict`]: probability and operating point → normal, pneumonia or refer; the codes; the record.
//!
//! The crate is `no_std`, does no I/O and knows no clock. Pumua is a research aid, not a medical device.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod accession;
pub mod age;
pub mod appliance;
pub mod calendar;
pub mod cell;
pub mod contract;
pub mod evidence;
pub mod guard;
pub mod limits;
pub mod preprocess;
pub mod rates;
pub mod results;
pub mod shown;
pub mod signals;
pub mod text;
pub mod verdict;

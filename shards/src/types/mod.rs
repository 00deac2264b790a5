//! The types of values, one folder each: its commands and what they need.

pub mod string;

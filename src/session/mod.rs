//! A connection as the server sees it: who it is, how it speaks, and the commands that concern it.

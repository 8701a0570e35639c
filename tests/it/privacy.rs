//! Promises of the design that concern the whole program: nothing readable reaches the disk, the box
//! cannot open what it sealed, logs tell nobody's name, and what is not as it should be is not
//! recorded at all.

mod disk;
mod refusals;
mod secrets;

//! How many frames leak, measured: scenes with known truth, recorded by the real pipeline, opened,
//! and compared with their source. [`attack`] measures what a veil is worth where it is drawn.
//!
//! Belongs here: making scenes out of sample faces, judging a finished video against one, figures,
//! plots, the contact sheet. Does not belong: any rule about who is shown; nothing here is part of a
//! recording. It reaches the pipeline where a user does: a recording begins with
//! [`crate::appliance::record`] and is read back through [`crate::vault::open`].
//!
//! Runs on the caller's thread. The sample faces are public test data, so what is written here is not
//! encrypted.

pub mod attack;

mod art;
mod cast;
mod compose;
mod control;
mod draw;
mod error;
mod judge;
mod pictures;
mod plot;
mod record;
mod report;
mod run;
mod scenes;
mod sheet;
mod stage;
mod tally;
mod truth;

/// Pictures a second of every scene.
const FPS: u32 = 30;

pub use compose::{SceneOptions, compose};
pub use error::EvalError;
pub use record::Setup;
pub use report::{
    AllowedFigures, ControlFigures, CostFigures, HiddenFigures, Leak, PersonFigures, PolicyReport,
    Report, SceneFigures, Totals,
};
pub use run::{Outputs, Progress, RunOptions, run};
pub use scenes::KINDS;
pub use truth::{
    FaceTruth, FrameTruth, PersonEntry, Role, SceneEntry, SceneFiles, SceneSet, Shape,
};

//! What came of a recording that is over, as the box says it until the next begins.

use serde::Serialize;

use super::{codes::Code, crew, recorder::Report, steward::Service};
use crate::units::RecordingId;

/// One camera of a recording that is over.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Over {
    camera: String,
    pub(super) recording: Option<RecordingId>,
    sealed: bool,
    segments: u32,
    seconds: f64,
    fault: Option<String>,
}

impl Service {
    /// Takes in what came of a recording; gives why it ended early, if it did.
    pub(super) fn done(
        &mut self,
        begun: Option<RecordingId>,
        result: Result<Box<Report>, crew::Ended>,
    ) -> Option<Code> {
        let (overs, fault) = match result {
            Ok(report) => {
                let code = report.fault.as_ref().map(crew::code_of);
                let text = report.fault.as_ref().map(ToString::to_string);
                let Report { id, is_sealed, cameras, segments, .. } = *report;
                let overs: Vec<Over> = cameras
                    .into_iter()
                    .map(|one| Over {
                        camera: one.camera.to_string(),
                        recording: Some(id),
                        sealed: is_sealed,
                        segments: one.progress.segments,
                        seconds: one.progress.position.seconds(),
                        fault: one.fault.or_else(|| text.clone()),
                    })
                    .collect();
                let seconds = report.seconds;
                self.say(match text.zip(code) {
                    None => format!("{id} is sealed, {segments} segments, {seconds:.0} s"),
                    Some((fault, code)) => format!("{id} ended: {code}: {fault}"),
                });
                (overs, code)
            }
            Err(crew::Ended { code, text }) => {
                self.say(format!("nothing more is recorded: {text}"));
                let config = self.ground.config.now();
                let overs = config.cameras.iter().map(|camera| Over {
                    camera: camera.id.to_string(),
                    recording: begun,
                    sealed: false,
                    segments: 0,
                    seconds: 0.0,
                    fault: Some(text.clone()),
                });
                (overs.collect(), Some(code))
            }
        };
        self.over = overs;
        fault
    }
}

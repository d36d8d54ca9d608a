//! Why a command could not be carried out, and the exit code that says so.

use super::terminal::colour;
use crate::daemon::DaemonError;
use crate::run::LoadError;
use crate::verdict::Exit;
use crate::web::WebError;

/// A command that could not be carried out.
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn usage(message: impl ToString) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    pub(super) fn system(message: impl ToString) -> Self {
        Self { exit: Exit::NotCarriedOut, message: message.to_string() }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Problems(problems) => Self::usage(problems.render(colour())),
            LoadError::Target(_) => Self::system(error),
            LoadError::SameName { .. } | LoadError::Conflict(_) | LoadError::Unread(_) => Self::usage(error),
        }
    }
}

impl From<WebError> for Failure {
    fn from(error: WebError) -> Self {
        match error {
            WebError::Config(_) => Self::usage(error),
            WebError::Listen(_) | WebError::Io(_) => Self::system(error),
        }
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Load(error) => error.into(),
            DaemonError::Web(error) => error.into(),
            DaemonError::NoFile(_) => Self::usage(error),
        }
    }
}

//! Reconnect and resume.

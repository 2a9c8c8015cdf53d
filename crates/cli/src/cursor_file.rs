//! A cursor in a file, whole at every moment.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// What is read of the file; a cursor has at most 100 bytes.
const READ: u64 = 4096;

/// A file that holds the cursor of what was printed.
pub(crate) struct CursorFile {
    path: PathBuf,
    /// Beside it, so that the rename stays on one file system.
    temporary: PathBuf,
    /// What the file holds.
    written: Option<String>,
}

impl CursorFile {
    /// Opens the file; one that does not exist has no cursor.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(READ).read_to_string(&mut text));
        let written = match read {
            Ok(_) => Some(text.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let path = path.display();
                return Err(Failure::new(format_args!("cannot read {path}: {error}")));
            }
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        Ok(Self {
            path: path.to_owned(),
            temporary: path.with_file_name(name),
            written,
        })
    }

    /// The cursor that the file holds.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.written.as_deref()
    }

    /// Puts `cursor` in the file's place. A kill leaves the old one or the new
    /// one, never a part.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn write(&mut self, cursor: &str) -> Result<(), Failure> {
        if self.written.as_deref() == Some(cursor) {
            return Ok(());
        }
        File::create(&self.temporary)
            .and_then(|mut file| file.write_all(format!("{cursor}\n").as_bytes()))
            .and_then(|()| fs::rename(&self.temporary, &self.path))
            .map_err(|error| {
                let path = self.path.display();
                Failure::new(format_args!("cannot write {path}: {error}"))
            })?;
        self.written = Some(cursor.to_owned());
        Ok(())
    }
}

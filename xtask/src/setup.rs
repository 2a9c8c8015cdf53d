//! What the suites need besides Rust: browsers from Debian, npm packages, a Python environment.
//! Each is installed where it is missing and this user may install it; where not, one sentence
//! says what to do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process;

/// A download on a slow line, or a package manager that waits for another one's lock.
const INSTALL_LIMIT: Duration = Duration::from_secs(900);
const QUESTION_LIMIT: Duration = Duration::from_secs(60);

/// Where the npm projects with their own lock files are, from the root.
pub(crate) const BROWSER_PROJECT: &str = "tests/browser";
/// The npm clients that are driven unmodified.
pub(crate) const CLIENTS_PROJECT: &str = "tests/conformance/clients";

/// Makes sure that one of `programs` is on the path, by installing the Debian package that has
/// it. Gives the program's full path.
pub(crate) fn debian(programs: &[&str], package: &str) -> Result<PathBuf, String> {
    if let Some(path) = find(programs) {
        return Ok(path);
    }
    let by_hand = format!("{package} is not installed (apt-get install {package})");
    if find(&["apt-get"]).is_none() {
        return Err(format!(
            "{package} is not installed, and there is no apt-get here"
        ));
    }
    if !is_root() {
        return Err(format!("{by_hand}, and only root may install it"));
    }
    println!("setup: installing {package}");
    let mut update = Command::new("apt-get");
    update.args(["update", "-q"]);
    install(&mut update).map_err(|error| format!("{by_hand}: {error}"))?;
    let mut command = Command::new("apt-get");
    command
        .args(["install", "-q", "-y", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive");
    install(&mut command).map_err(|error| format!("{by_hand}: {error}"))?;
    find(programs).ok_or_else(|| format!("{package} was installed, but has no {}", programs[0]))
}

/// Installs an npm project from its lock file, unless this very lock was installed before.
pub(crate) fn npm(root: &Path, project: &str) -> Result<(), String> {
    let folder = root.join(project);
    for tool in ["node", "npm"] {
        find(&[tool]).ok_or_else(|| format!("{tool} is not installed (Node.js 20 or later)"))?;
    }
    let lock = read(&folder.join("package-lock.json"))?;
    let stamp = root
        .join(".cache")
        .join(format!("npm-{}", project.replace('/', "-")));
    if folder.join("node_modules").is_dir() && is_stamped(&stamp, &lock) {
        return Ok(());
    }
    println!("setup: npm ci in {project}");
    install(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&folder),
    )
    .map_err(|error| format!("npm packages of {project}: {error}"))?;
    write_stamp(&stamp, &lock)
}

/// Makes a Python environment below `.cache/` with the pinned requirements of `project`. Gives
/// its interpreter.
pub(crate) fn python(root: &Path, project: &str) -> Result<PathBuf, String> {
    let python = find(&["python3"]).ok_or("python3 is not installed (3.11 or later)")?;
    let requirements_path = root.join(project).join("requirements.txt");
    let requirements = read(&requirements_path)?;
    let cache = root.join(".cache");
    let name = project.replace('/', "-");
    let environment = cache.join(format!("venv-{name}"));
    let interpreter = environment.join("bin/python");
    let stamp = cache.join(format!("venv-{name}.installed"));
    if interpreter.exists() && is_stamped(&stamp, &requirements) {
        return Ok(interpreter);
    }
    println!("setup: a Python environment in .cache/venv-{name}");
    // Debian splits `ensurepip` off into a package of its own: the environment is made without
    // pip, and the system's pip fills it from outside.
    install(
        Command::new(&python)
            .args(["-m", "venv", "--clear", "--without-pip"])
            .arg(&environment),
    )
    .map_err(|error| format!("Python environment: {error}"))?;
    install(
        Command::new(&python)
            .args(["-m", "pip", "--python"])
            .arg(&interpreter)
            .args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(&requirements_path),
    )
    .map_err(|error| format!("Python packages (python3-pip): {error}"))?;
    write_stamp(&stamp, &requirements)?;
    Ok(interpreter)
}

/// The first of `programs` that is on the path.
pub(crate) fn find(programs: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    programs.iter().find_map(|program| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .find(|file| file.is_file())
    })
}

/// Whether this user may install Debian packages.
fn is_root() -> bool {
    process::capture(Command::new("id").arg("-u"), QUESTION_LIMIT)
        .is_ok_and(|(_, text)| text.trim() == "0")
}

/// Runs an installer quietly; its last lines come with the error.
fn install(command: &mut Command) -> Result<(), String> {
    let (ended, text) = process::capture(command, INSTALL_LIMIT)?;
    if ended.succeeded() {
        return Ok(());
    }
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = lines[lines.len().saturating_sub(5)..].join(" | ");
    Err(format!(
        "{} {}: {last}",
        command.get_program().to_string_lossy(),
        ended.describe()
    ))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn is_stamped(stamp: &Path, content: &str) -> bool {
    std::fs::read_to_string(stamp).is_ok_and(|old| old == content)
}

fn write_stamp(stamp: &Path, content: &str) -> Result<(), String> {
    let folder = stamp.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(stamp, content))
        .map_err(|error| format!("{}: {error}", stamp.display()))
}

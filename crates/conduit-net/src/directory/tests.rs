//! Path resolution below a directory, by the kernel and by walking the components.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::{Directory, Found, Waiting};

struct Tree(PathBuf);

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A directory `root` with files, links and special files, and files next to it.
fn tree(name: &str) -> (Tree, Directory) {
    let base = std::env::temp_dir().join(format!("conduit-net-directory-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&base);
    let root = base.join("root");
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    fs::create_dir_all(base.join("root-secret")).unwrap();
    for (path, text) in [
        ("root/file", "file"),
        ("root/sub/inner", "inner"),
        ("root/sub/deep/deepest", "deepest"),
        ("secret", "secret"),
        ("root-secret/key", "secret"),
    ] {
        fs::write(base.join(path), text).unwrap();
    }
    for (target, link) in [
        ("file", "to-file"),
        ("sub", "to-sub"),
        ("../file", "sub/up"),
        ("../../secret", "sub/out"),
        ("../root/file", "out-and-in"),
        ("../root-secret/key", "sibling"),
        ("..", "parent"),
        ("/etc/passwd", "absolute"),
        ("to-itself", "to-itself"),
        ("nowhere", "dangling"),
        ("sub/deep/../inner", "through-dots"),
        ("file/", "file-with-slash"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    symlink(root.join("file"), root.join("absolute-inside")).unwrap();
    let chain = root.join("chain0");
    symlink("file", chain).unwrap();
    for number in 1..60 {
        symlink(format!("chain{}", number - 1), root.join(format!("chain{number}"))).unwrap();
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("pipe"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    drop(UnixListener::bind(root.join("socket")).unwrap());
    let directory = Directory::open(&root, Waiting::Allowed).unwrap();
    (Tree(base), directory)
}

/// The content, the type, or the kind of the error.
fn outcome(found: io::Result<Found>) -> String {
    match found {
        Ok(Found::File(mut file, attributes)) => {
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(attributes.length, text.len() as u64);
            text
        }
        Ok(Found::Directory) => "directory".to_owned(),
        Ok(Found::Special) => "special".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

const CASES: &[(&str, &str)] = &[
    ("", "directory"),
    (".", "directory"),
    ("file", "file"),
    ("./file", "file"),
    ("sub//inner", "inner"),
    ("sub/deep/deepest", "deepest"),
    ("sub/../file", "file"),
    ("sub", "directory"),
    ("sub/", "directory"),
    ("to-file", "file"),
    ("to-sub", "directory"),
    ("to-sub/inner", "inner"),
    ("sub/up", "file"),
    ("through-dots", "inner"),
    ("chain39", "file"),
    ("pipe", "special"),
    ("socket", "special"),
    // Outside of the directory.
    ("..", "CrossesDevices"),
    ("../secret", "CrossesDevices"),
    ("../root/file", "CrossesDevices"),
    ("sub/../../secret", "CrossesDevices"),
    ("/etc/passwd", "CrossesDevices"),
    ("sub/out", "CrossesDevices"),
    ("out-and-in", "CrossesDevices"),
    ("sibling", "CrossesDevices"),
    ("parent", "CrossesDevices"),
    ("parent/secret", "CrossesDevices"),
    ("absolute", "CrossesDevices"),
    ("absolute-inside", "CrossesDevices"),
    // Missing.
    ("missing", "NotFound"),
    ("dangling", "NotFound"),
    ("file/", "NotADirectory"),
    ("file/x", "NotADirectory"),
    ("file/..", "NotADirectory"),
    ("file-with-slash", "NotADirectory"),
    ("to-itself", "FilesystemLoop"),
    ("chain50", "FilesystemLoop"),
];

#[test]
fn kernel_and_walk_resolve_paths_equally() {
    let (_tree, directory) = tree("twin");
    for (path, expected) in CASES {
        let path = path.as_bytes();
        assert_eq!(
            outcome(directory.find_by_walk(path, Waiting::Allowed)),
            *expected,
            "walk: {}",
            path.escape_ascii()
        );
        assert_eq!(
            outcome(directory.find(path, Waiting::Allowed)),
            *expected,
            "{}",
            path.escape_ascii()
        );
    }
    let long = [b'a'; 256];
    for found in [
        directory.find(&long, Waiting::Allowed),
        directory.find_by_walk(&long, Waiting::Allowed),
    ] {
        assert_eq!(outcome(found), "InvalidFilename");
    }
    for found in [
        directory.find(b"file\0x", Waiting::Allowed),
        directory.find(b"file\0x", Waiting::Never),
        directory.find_by_walk(b"file\0x", Waiting::Allowed),
    ] {
        assert_eq!(outcome(found), "InvalidInput");
    }
}

#[test]
fn cached_path_is_resolved_without_waiting() {
    let (_tree, directory) = tree("cached");
    for (path, expected) in [
        ("file", "file"),
        ("sub/inner", "inner"),
        ("../secret", "CrossesDevices"),
        ("pipe", "special"),
    ] {
        let first = outcome(directory.find(path.as_bytes(), Waiting::Allowed));
        let again = outcome(directory.find(path.as_bytes(), Waiting::Never));
        assert_eq!(first, expected);
        // The kernel may evict a path from its cache at any time, and old kernels have no such call.
        assert!(
            again == expected || again == format!("{:?}", ErrorKind::WouldBlock),
            "{path}: {again}"
        );
    }
}

#[test]
fn attributes_distinguish_replaced_from_modified_file() {
    let (tree, directory) = tree("attributes");
    let file = tree.0.join("root/file");
    let first = directory.attributes(b"file", Waiting::Allowed).unwrap().unwrap();
    fs::write(tree.0.join("root/new"), "other").unwrap();
    fs::rename(tree.0.join("root/new"), &file).unwrap();
    let replaced = directory.attributes(b"file", Waiting::Allowed).unwrap().unwrap();
    assert!(!replaced.is_same_file(&first));
    fs::write(&file, "longer than before").unwrap();
    let changed = directory.attributes(b"file", Waiting::Allowed).unwrap().unwrap();
    assert!(changed.is_same_file(&replaced) && changed != replaced);
    for path in ["sub", "pipe", "socket"] {
        assert_eq!(
            directory.attributes(path.as_bytes(), Waiting::Allowed).unwrap(),
            None,
            "{path}"
        );
    }
    assert!(directory.attributes(b"sub/out", Waiting::Allowed).is_err());
}

/// Opening the pipe for reading would unblock its writer, and closing it would end the writer with SIGPIPE.
#[test]
fn pipe_is_not_opened_for_reading() {
    let (tree, directory) = tree("pipe");
    for found in [
        directory.find(b"pipe", Waiting::Allowed),
        directory.find_by_walk(b"pipe", Waiting::Allowed),
    ] {
        assert_eq!(outcome(found), "special");
    }
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
    let writer = rustix::fs::open(tree.0.join("root/pipe"), flags, rustix::fs::Mode::empty());
    assert_eq!(writer.unwrap_err(), rustix::io::Errno::NXIO, "the pipe has no reader");
}

#[test]
fn list_contains_only_openable_files_and_directories() {
    let (tree, directory) = tree("list");
    let (entries, is_cut) = directory.list(b"sub", 100).unwrap();
    let names: Vec<_> = entries
        .iter()
        .map(|entry| (entry.name.as_bytes(), entry.is_directory))
        .collect();
    assert_eq!(names, [(&b"deep"[..], true), (b"inner", false), (b"up", false)]);
    assert!(!is_cut);
    let (entries, is_cut) = directory.list(b"", 3).unwrap();
    assert!(entries.len() <= 3 && is_cut);
    assert_eq!(directory.list(b"file", 3).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert!(directory.list(b"parent", 3).is_err());
    drop(tree);
}

#[test]
fn directory_is_opened_by_a_process_path() {
    let (tree, _) = tree("open");
    assert!(Directory::open(&tree.0.join("root/to-sub"), Waiting::Allowed).is_ok());
    assert_eq!(
        Directory::open(&tree.0.join("secret"), Waiting::Allowed)
            .unwrap_err()
            .kind(),
        ErrorKind::NotADirectory
    );
    assert_eq!(
        Directory::open(Path::new(""), Waiting::Allowed).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    for waiting in [Waiting::Allowed, Waiting::Never] {
        let error = Directory::open(Path::new("/tmp\0/x"), waiting).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{waiting:?}");
    }
}

/// Runs on a thread without capabilities, so that the result does not depend on the user.
#[test]
#[cfg(target_os = "linux")]
fn permission_to_search_suffices_for_the_directories_of_a_path() {
    use std::os::unix::fs::PermissionsExt;

    let (tree, directory) = tree("search");
    let sub = tree.0.join("root/sub");
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o111)).unwrap();
    let results = std::thread::scope(|scope| {
        let results = || {
            let sets = rustix::thread::capabilities(None).unwrap();
            let none = rustix::thread::CapabilitySets {
                effective: rustix::thread::CapabilitySet::empty(),
                ..sets
            };
            rustix::thread::set_capabilities(None, none).unwrap();
            let list = |path| {
                directory
                    .list(path, 9)
                    .map(|(entries, _)| entries.len())
                    .map_err(|error| error.kind())
            };
            (
                outcome(directory.find(b"sub/deep/deepest", Waiting::Allowed)),
                outcome(directory.find_by_walk(b"sub/deep/deepest", Waiting::Allowed)),
                outcome(directory.find_by_walk(b"sub", Waiting::Allowed)),
                list(b"sub/deep"),
                list(b"sub"),
            )
        };
        scope.spawn(results).join().unwrap()
    });
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o755)).unwrap();
    let (file, directory) = ("deepest".to_owned(), "directory".to_owned());
    let denied = Err(ErrorKind::PermissionDenied);
    assert_eq!(results, (file.clone(), file, directory, Ok(1), denied));
}

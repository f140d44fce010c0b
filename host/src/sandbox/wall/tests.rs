//! The second wall with the first one off: a process behind it makes system calls as a component could that broke out of the
//! engine.
//!
//! The process is this test binary again, in [`attacker`], which puts the wall up around itself, tries every attack, and prints
//! what came of each.

use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;

/// What the neighbour's file and the environment of the parent have in them.
const SECRET: &str = "canary-of-a-neighbour";
const MIB: u64 = 1024 * 1024;

/// One attack. `Err`: why it failed, as the kernel says; `Ok`: what it got.
type Attack = (&'static str, fn(&Ground) -> Result<String, i32>);

/// Where the attacker is.
struct Ground {
    staging: OwnedFd,
    folder: PathBuf,
    parent: libc::pid_t,
    /// The lowest page of the stack of the first thread.
    stack: usize,
}

impl Ground {
    fn neighbour(&self) -> PathBuf {
        self.folder.join("neighbour")
    }
}

fn result(returned: libc::c_long) -> Result<String, i32> {
    if returned >= 0 {
        return Ok(returned.to_string());
    }
    Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// One system call, with arguments as they are.
macro_rules! call {
    ($number:expr $(, $argument:expr)* $(,)?) => {{
        // SAFETY: an attack: pointers are to live values or null, and what the kernel makes of it is the test.
        #[expect(unsafe_code, reason = "an attack is a system call that nothing wraps")]
        let returned = unsafe { libc::syscall($number $(, $argument)*) };
        result(returned)
    }};
}

/// Memory of this kind, as much as is twice the limit.
fn taken(kind: libc::c_int) -> Result<String, i32> {
    let bytes = usize::try_from(2 * CHILD_MEMORY_MAX).unwrap();
    let (access, how) = (
        libc::PROT_READ | libc::PROT_WRITE,
        kind | libc::MAP_ANONYMOUS,
    );
    call!(libc::SYS_mmap, NOTHING, bytes, access, how, -1, 0)
}

fn path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

fn read(path: impl AsRef<Path>) -> Result<String, i32> {
    let read = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    read.map_err(|error| error.raw_os_error().unwrap_or(0))
}

fn done<T>(result: std::io::Result<T>) -> Result<String, i32> {
    let done = result.map(|_| "done".to_owned());
    done.map_err(|error| error.raw_os_error().unwrap_or(0))
}

const NOTHING: *const libc::c_void = std::ptr::null();

const ATTACKS: [Attack; 56] = [
    // Files.
    ("read /etc/passwd", |_| read("/etc/passwd")),
    ("read its own environment", |_| read("/proc/self/environ")),
    ("read its own memory", |_| read("/proc/self/mem")),
    ("read the parent's environment", |ground| {
        read(format!("/proc/{}/environ", ground.parent))
    }),
    ("open the parent's memory", |ground| {
        done(File::open(format!("/proc/{}/mem", ground.parent)))
    }),
    ("read a device", |_| done(File::open("/dev/zero"))),
    ("read /sys", |_| {
        read("/sys/kernel/mm/transparent_hugepage/enabled")
    }),
    ("read a neighbour's file", |ground| read(ground.neighbour())),
    (
        "read a neighbour's file from the staging folder",
        |ground| {
            let name = c"../neighbour";
            let folder = ground.staging.as_raw_fd();
            call!(libc::SYS_openat, folder, name.as_ptr(), libc::O_RDONLY)
        },
    ),
    ("write to a neighbour's file", |ground| {
        done(File::options().write(true).open(ground.neighbour()))
    }),
    ("make a file outside", |ground| {
        done(File::create(ground.folder.join("made")))
    }),
    ("remove a neighbour's file", |ground| {
        done(std::fs::remove_file(ground.neighbour()))
    }),
    ("rename a neighbour's file", |ground| {
        done(std::fs::rename(
            ground.neighbour(),
            ground.folder.join("renamed"),
        ))
    }),
    ("cut a neighbour's file", |ground| {
        call!(libc::SYS_truncate, path(&ground.neighbour()).as_ptr(), 0)
    }),
    ("look at a neighbour's file", |ground| {
        done(std::fs::metadata(ground.neighbour()))
    }),
    ("list a folder", |ground| {
        done(std::fs::read_dir(&ground.folder))
    }),
    ("make a link in the staging folder", |ground| {
        let (to, folder) = (c"/etc/passwd", ground.staging.as_raw_fd());
        call!(libc::SYS_symlinkat, to.as_ptr(), folder, c"link".as_ptr())
    }),
    ("make a second name in the staging folder", |ground| {
        let (from, folder) = (path(&ground.neighbour()), ground.staging.as_raw_fd());
        call!(
            libc::SYS_linkat,
            libc::AT_FDCWD,
            from.as_ptr(),
            folder,
            c"name".as_ptr(),
            0
        )
    }),
    ("make a folder in the staging folder", |ground| {
        call!(
            libc::SYS_mkdirat,
            ground.staging.as_raw_fd(),
            c"made".as_ptr(),
            0o700
        )
    }),
    ("make a pipe in the staging folder", |ground| {
        let mode = libc::S_IFIFO | 0o600;
        call!(
            libc::SYS_mknodat,
            ground.staging.as_raw_fd(),
            c"fifo".as_ptr(),
            mode,
            0
        )
    }),
    ("change a mode", |ground| {
        call!(
            libc::SYS_fchmodat,
            libc::AT_FDCWD,
            path(&ground.neighbour()).as_ptr(),
            0o777
        )
    }),
    ("open by handle", |_| {
        call!(libc::SYS_open_by_handle_at, libc::AT_FDCWD, NOTHING, 0)
    }),
    ("change the root", |ground| {
        call!(libc::SYS_chroot, path(&ground.folder).as_ptr())
    }),
    ("mount", |_| {
        call!(libc::SYS_mount, NOTHING, NOTHING, NOTHING, 0, NOTHING)
    }),
    ("open a path to look at it", |_| {
        let flags = libc::O_PATH;
        call!(
            libc::SYS_openat,
            libc::AT_FDCWD,
            c"/etc/shadow".as_ptr(),
            flags
        )
    }),
    ("make a file without a name", |ground| {
        let (folder, flags) = (ground.staging.as_raw_fd(), libc::O_TMPFILE | libc::O_RDWR);
        call!(libc::SYS_openat, folder, c".".as_ptr(), flags, 0o600)
    }),
    ("remove a name in the staging folder", |ground| {
        let (folder, flags) = (ground.staging.as_raw_fd(), libc::O_CREAT | libc::O_WRONLY);
        let name = c"removed";
        call!(libc::SYS_openat, folder, name.as_ptr(), flags, 0o600)?;
        call!(libc::SYS_unlinkat, folder, name.as_ptr(), 0)
    }),
    // The network.
    ("open a socket to the network", |_| {
        call!(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0)
    }),
    ("open a socket to programs on this machine", |_| {
        call!(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0)
    }),
    ("open a raw socket", |_| {
        call!(libc::SYS_socket, libc::AF_PACKET, libc::SOCK_RAW, 0)
    }),
    ("open a socket to the kernel", |_| {
        call!(libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0)
    }),
    ("connect a descriptor", |ground| {
        call!(libc::SYS_connect, ground.staging.as_raw_fd(), NOTHING, 0)
    }),
    ("send an urgent byte", |_| {
        let (text, flags) = (c"x", libc::MSG_OOB);
        call!(libc::SYS_sendto, 0, text.as_ptr(), 1, flags, NOTHING, 0)
    }),
    ("take a descriptor of the process at the other end", |_| {
        let (mut found, mut bytes) = (0_i32, 4_u32);
        let (found, bytes) = (&raw mut found, &raw mut bytes);
        call!(
            libc::SYS_getsockopt,
            0,
            libc::SOL_SOCKET,
            libc::SO_PEERPIDFD,
            found,
            bytes
        )
    }),
    ("pass a descriptor on", |_| {
        call!(libc::SYS_sendmsg, 0, NOTHING, 0)
    }),
    // Processes.
    ("run a program", |_| {
        call!(libc::SYS_execve, c"/bin/true".as_ptr(), NOTHING, NOTHING)
    }),
    ("run a program by descriptor", |_| {
        call!(
            libc::SYS_execveat,
            0,
            c"".as_ptr(),
            NOTHING,
            NOTHING,
            libc::AT_EMPTY_PATH
        )
    }),
    ("make a process", |_| {
        call!(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)
    }),
    ("make a process anew", |_| {
        call!(libc::SYS_clone3, NOTHING, 0)
    }),
    ("make a thread", |_| {
        done(std::thread::Builder::new().spawn(|| ()))
    }),
    ("signal the parent", |ground| {
        call!(libc::SYS_kill, ground.parent, 0)
    }),
    ("signal a thread of the parent", |ground| {
        call!(libc::SYS_tgkill, ground.parent, ground.parent, 0)
    }),
    ("have the parent signalled", |ground| {
        let (folder, parent) = (ground.staging.as_raw_fd(), ground.parent);
        call!(libc::SYS_fcntl, folder, libc::F_SETOWN, parent)
    }),
    ("trace the parent", |ground| {
        call!(libc::SYS_ptrace, libc::PTRACE_ATTACH, ground.parent, 0, 0)
    }),
    ("read the parent's memory", |ground| {
        call!(
            libc::SYS_process_vm_readv,
            ground.parent,
            NOTHING,
            0,
            NOTHING,
            0,
            0
        )
    }),
    ("write to the parent's memory", |ground| {
        call!(
            libc::SYS_process_vm_writev,
            ground.parent,
            NOTHING,
            0,
            NOTHING,
            0,
            0
        )
    }),
    ("take a descriptor of the parent", |ground| {
        call!(libc::SYS_pidfd_open, ground.parent, 0)
    }),
    // The kernel.
    ("take memory from the machine", |_| {
        call!(libc::SYS_madvise, NOTHING, 4096, libc::MADV_SOFT_OFFLINE)
    }),
    ("use io_uring", |_| {
        call!(libc::SYS_io_uring_setup, 1, NOTHING)
    }),
    ("load a program into the kernel", |_| {
        call!(libc::SYS_bpf, 0, NOTHING, 0)
    }),
    ("use the kernel's keys", |_| {
        call!(libc::SYS_keyctl, 0, -3, 0)
    }),
    ("make a user namespace", |_| {
        call!(libc::SYS_unshare, libc::CLONE_NEWUSER)
    }),
    ("count events", |_| {
        call!(libc::SYS_perf_event_open, NOTHING, 0, -1, -1, 0)
    }),
    ("be dumped again", |_| {
        call!(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 1)
    }),
    ("become another user", |_| call!(libc::SYS_setuid, 65_534)),
    ("raise a limit", |_| {
        call!(
            libc::SYS_prlimit64,
            0,
            libc::RLIMIT_NOFILE,
            NOTHING,
            NOTHING
        )
    }),
];

/// What is tried at last: the limits of the kernel, which only this process feels.
const LIMITS: [Attack; 7] = [
    ("take shared memory", |_| taken(libc::MAP_SHARED)),
    ("take memory that grows down", |_| {
        taken(libc::MAP_PRIVATE | libc::MAP_GROWSDOWN)
    }),
    ("make a page of the stack larger", |ground| {
        let bytes = usize::try_from(2 * CHILD_MEMORY_MAX).unwrap();
        let how = libc::MREMAP_MAYMOVE;
        call!(libc::SYS_mremap, ground.stack, 4096, bytes, how)
    }),
    ("take huge pages", |_| {
        taken(libc::MAP_PRIVATE | libc::MAP_HUGETLB)
    }),
    ("take more memory", |_| taken(libc::MAP_PRIVATE)),
    ("write a larger file", |ground| {
        let (name, flags) = (c"large", libc::O_CREAT | libc::O_WRONLY);
        let file: i64 = call!(
            libc::SYS_openat,
            ground.staging.as_raw_fd(),
            name.as_ptr(),
            flags,
            0o600
        )?
        .parse()
        .unwrap();
        call!(libc::SYS_ftruncate, file, 2 * MIB)
    }),
    ("open more files", |ground| {
        let copied =
            (0..2 * CHILD_FILES_MAX).map(|_| call!(libc::SYS_dup, ground.staging.as_raw_fd()));
        copied
            .collect::<Result<Vec<_>, _>>()
            .map(|copied| copied.len().to_string())
    }),
];

/// The process behind the wall, where another test started it; by itself it has nothing to attack.
#[test]
fn attacker() {
    let folder = Path::new(".").canonicalize().unwrap();
    if !folder.join("neighbour").exists() {
        return;
    }
    let staging = OwnedFd::from(File::open(folder.join("staging")).unwrap());
    let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let stack = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
    let stack = usize::from_str_radix(stack.split('-').next().unwrap(), 16).unwrap();
    let bounds = Bounds {
        data_bytes: CHILD_MEMORY_MAX,
        cpu_seconds: 10,
        file_bytes: MIB,
    };
    before_threads(&bounds, Some(&staging)).unwrap();
    // The signal of the limit is ignored in a child, too.
    #[expect(unsafe_code, reason = "as `ignored_signals` does, without its runtime")]
    // SAFETY: it only ignores a signal.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
    last().unwrap();
    let ground = Ground {
        staging,
        folder,
        parent,
        stack,
    };
    // The harness has begun a line.
    let mut told = "\n".to_owned();
    for (name, attack) in ATTACKS.iter().chain(&LIMITS) {
        let came = match attack(&ground) {
            Ok(got) => format!("got {got:?}"),
            Err(number) => format!("refused {number}"),
        };
        let _ = writeln!(told, "{name}: {came}");
    }
    let _ = std::io::stdout().write_all(told.as_bytes());
    // The harness would do more than it may.
    std::process::exit(0);
}

/// What came of each attack, and the folder.
fn attacked() -> (Vec<(String, String)>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("staging")).unwrap();
    std::fs::write(folder.path().join("neighbour"), SECRET).unwrap();
    let output = Command::new("/proc/self/exe")
        .args(["--exact", "sandbox::wall::tests::attacker"])
        .args(["--nocapture", "--test-threads=1"])
        .current_dir(folder.path())
        .env("NEIGHBOUR", SECRET)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = format!(
        "{:?} {stdout} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{all}");
    let lines = stdout.lines().filter_map(|line| line.split_once(": "));
    let came: Vec<_> = lines
        .map(|(name, came)| (name.to_owned(), came.to_owned()))
        .collect();
    (came, folder)
}

#[test]
fn system_calls_of_its_own_get_a_component_nothing() {
    let (came, folder) = attacked();

    for (name, _) in ATTACKS.iter().chain(&LIMITS) {
        let came = came.iter().find(|(tried, _)| tried == name);
        let (_, came) = came.unwrap_or_else(|| panic!("`{name}` was not tried"));
        let number = came
            .strip_prefix("refused ")
            .map(|number| number.parse().unwrap());
        // No other number will do: a mistake of the attack's own is no refusal.
        let refused = [
            libc::EPERM,
            libc::EACCES,
            libc::ENOMEM,
            libc::EMFILE,
            libc::EFBIG,
        ];
        assert!(
            number.is_some_and(|number| refused.contains(&number)),
            "{name}: {came}"
        );
    }
    let neighbour = folder.path().join("neighbour");
    assert_eq!(std::fs::read_to_string(&neighbour).unwrap(), SECRET);
    let mut left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["neighbour", "staging"]);
}

#[test]
fn each_limit_of_the_kernel_is_the_one_that_refuses() {
    let (came, _folder) = attacked();

    for (name, number) in [
        ("take more memory", libc::ENOMEM),
        ("open more files", libc::EMFILE),
        ("write a larger file", libc::EFBIG),
        // No limit counts it.
        ("make a page of the stack larger", libc::EPERM),
    ] {
        let came = came.iter().find(|(tried, _)| tried == name).unwrap();
        assert_eq!(came.1, format!("refused {number}"), "{name}");
    }
}

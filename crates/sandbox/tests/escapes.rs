//! What programs try and do not get. Where this machine cannot isolate programs the tests say so and
//! prove nothing, unless `FRUGAL_TEST_SANDBOX=required`: then they fail.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "what the tests need and do not get ends them, in helpers as in the tests themselves"
)]

use frugal_domain::program::{Ended, Ending, Program};
use frugal_sandbox::{Launcher, Limits, Mode, Options, Sandbox, SandboxError, Unavailable};
use futures::future::join_all;
use std::path::PathBuf;

const KILLED: i32 = 9;

fn options() -> Options {
    Options {
        mode: Mode::On,
        python: PathBuf::from("/usr/bin/python3"),
        launcher: Launcher {
            program: PathBuf::from(env!("CARGO_BIN_EXE_frugal-sandbox-launcher")),
            arguments: Vec::new(),
        },
        limits: Limits::default(),
    }
}

async fn sandbox() -> Option<Sandbox> {
    match Sandbox::probe(options()).await {
        Ok(sandbox) => Some(sandbox),
        Err(why) => {
            let is_required = std::env::var("FRUGAL_TEST_SANDBOX").is_ok_and(|it| it == "required");
            // A kernel that gives no namespaces is not at fault; a sandbox that holds nothing is.
            let is_of_the_kernel =
                matches!(&why, Unavailable::NoIsolation(why) if why.contains("can be made"));
            assert!(is_of_the_kernel || !is_required, "{why}");
            eprintln!("not tested: {why}");
            None
        }
    }
}

fn program(source: &str) -> Program {
    Program {
        source: source.to_owned(),
        seconds: 2,
        ..Program::default()
    }
}

async fn ended(sandbox: &Sandbox, source: &str) -> Ended {
    sandbox.run(&program(source)).await.unwrap()
}

/// Whether it was ended for what it took. Where others use the processors, the wall clock runs out first.
fn is_over_time(ended: &Ended) -> bool {
    matches!(ended.ending, Ending::Killed(KILLED) | Ending::TimedOut)
}

/// What a program wrote that ended well.
async fn said(source: &str) -> Option<String> {
    let ended = ended(&sandbox().await?, source).await;
    assert_eq!(ended.ending, Ending::Exited(0), "{ended:?}");
    Some(ended.stdout.trim().to_owned())
}

/// Tries each line of Python, and holds what came of it against what should: `held`, or a value.
async fn check(attempts: &[(&str, &str)]) {
    let Some(sandbox) = sandbox().await else {
        return;
    };
    for (attempt, expected) in attempts {
        let source = format!(
            "import ctypes, os, signal, socket, subprocess, sys\n\
             try:\n    print({attempt})\n\
             except (OSError, KeyError) as error:\n    print('held', file=sys.stdout)\n    print(error, file=sys.stderr)\n"
        );
        let ended = ended(&sandbox, &source).await;
        assert_eq!(ended.stdout.trim(), *expected, "{attempt}: {ended:?}");
    }
}

#[tokio::test]
async fn there_is_no_network() {
    check(&[
        ("socket.socket()", "held"),
        ("socket.socket(socket.AF_UNIX)", "held"),
        ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "held"),
        ("socket.create_connection(('127.0.0.1', 80), 1)", "held"),
        // An event loop wakes itself by a pair.
        ("len(socket.socketpair())", "2"),
    ])
    .await;
}

#[tokio::test]
async fn files_of_the_host_are_not_there() {
    check(&[
        ("open('/etc/passwd').read()", "held"),
        ("os.listdir('/proc')", "held"),
        ("os.listdir('/sys')", "held"),
        ("os.listdir('/home')", "held"),
        ("os.listdir('/root')", "held"),
        ("sorted(os.listdir('/dev'))", "['null', 'urandom']"),
        ("os.listdir('/tmp')", "[]"),
        ("open('/tmp/../../../../etc/passwd').read()", "held"),
        (
            "os.symlink('/proc/1/root/etc/passwd', 'a') or open('a').read()",
            "held",
        ),
        (
            "os.symlink('/../../etc/shadow', 'b') or open('b').read()",
            "held",
        ),
        ("os.chroot('/tmp')", "held"),
    ])
    .await;
}

#[tokio::test]
async fn nothing_is_written_outside_of_its_folder() {
    check(&[
        ("open('/written', 'w')", "held"),
        ("open('/usr/lib/written', 'w')", "held"),
        ("open('/dev/shm/written', 'w')", "held"),
        ("open(os.__file__, 'a')", "held"),
        ("os.chmod(os.__file__, 0o777)", "held"),
        ("os.mkdir('/folder')", "held"),
        ("open('/tmp/kept', 'w').write('text')", "4"),
        ("open('/dev/null', 'w').write('text')", "4"),
    ])
    .await;
    // The next program does not see it, though it has the same launcher.
    if let Some(left) = said("import os; print(os.listdir('/tmp'))").await {
        assert_eq!(left, "[]");
    }
}

#[tokio::test]
async fn it_is_nobody_and_knows_nothing_of_where_it_runs() {
    check(&[
        ("dict(os.environ)", "{}"),
        (
            "(os.getuid(), os.getgid(), set(os.getgroups()) <= {65534})",
            "(65534, 65534, True)",
        ),
        ("(os.getpid(), os.getppid())", "(1, 0)"),
        ("os.uname().nodename", "sandbox"),
        ("(sys.argv, len(sys.orig_argv))", "(['program.py'], 1)"),
        ("os.getcwd()", "/tmp"),
        ("os.setuid(0)", "held"),
        ("os.sched_setaffinity(0, {0})", "held"),
        // PR_GET_NO_NEW_PRIVS, and the capabilities that it could regain.
        ("ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)", "1"),
        (
            "[ctypes.CDLL(None).prctl(23, it, 0, 0, 0) for it in (0, 21)]",
            "[0, 0]",
        ),
    ])
    .await;
}

#[tokio::test]
async fn it_remains_one_process_and_reaches_no_other() {
    check(&[
        ("os.fork()", "held"),
        ("subprocess.run(['/bin/sh'])", "held"),
        ("subprocess.Popen([sys.executable])", "held"),
        ("os.posix_spawn(sys.executable, ['python3'], {})", "held"),
        ("os.kill(2, signal.SIGKILL)", "held"),
        ("os.pidfd_open(1)", "held"),
        (
            "os.unshare(0) if hasattr(os, 'unshare') else 'held'",
            "held",
        ),
        // SYS_ptrace, SYS_unshare with CLONE_NEWUSER, SYS_process_vm_readv: -1 is a refusal.
        ("ctypes.CDLL(None).ptrace(16, 1, 0, 0)", "-1"),
        ("ctypes.CDLL(None).unshare(0x10000000)", "-1"),
        (
            "ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, 0)",
            "-1",
        ),
        ("ctypes.CDLL(None).memfd_create(b'memory', 0)", "-1"),
        ("ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600)", "-1"),
    ])
    .await;
}

#[tokio::test]
async fn a_bomb_of_forks_or_threads_goes_nowhere() {
    let source = "import os\nwhile True:\n    os.fork()\n";
    let Some(sandbox) = sandbox().await else {
        return;
    };
    let forked = ended(&sandbox, source).await;
    assert_eq!(forked.ending, Ending::Exited(1));
    assert!(forked.stderr.contains("PermissionError"), "{forked:?}");
    let source = "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n";
    let threaded = ended(&sandbox, source).await;
    assert_eq!(threaded.ending, Ending::Exited(1));
    assert!(
        threaded.stderr.contains("can't start new thread"),
        "{threaded:?}"
    );
}

#[tokio::test]
async fn memory_time_files_and_output_have_an_end() {
    let Some(sandbox) = sandbox().await else {
        return;
    };
    let memory = ended(&sandbox, "x = bytearray(2 << 30)").await;
    assert_eq!(memory.ending, Ending::Exited(1));
    assert!(memory.stderr.contains("MemoryError"), "{memory:?}");

    let busy = ended(&sandbox, "while True: pass").await;
    assert!(is_over_time(&busy), "{busy:?}");
    let asleep = ended(
        &sandbox,
        "import time; print('a', flush=True); time.sleep(99)",
    )
    .await;
    assert_eq!(asleep.ending, Ending::TimedOut);
    assert_eq!(asleep.stdout, "a\n", "what it wrote before is there");
    let deaf = "import signal, time\nfor it in range(1, 65):\n    try: signal.signal(it, signal.SIG_IGN)\n    except (OSError, ValueError): pass\ntime.sleep(99)";
    assert_eq!(ended(&sandbox, deaf).await.ending, Ending::TimedOut);

    let loud = ended(&sandbox, "while True: print('spam' * 1000)").await;
    assert_eq!(loud.ending, Ending::TooMuchOutput);
    assert!(loud.stdout.len() < 8 << 20, "{}", loud.stdout.len());

    let sparse = "f = open('f', 'wb'); f.truncate(4 << 30)";
    let sparse = ended(&sandbox, sparse).await;
    assert!(sparse.stderr.contains("File too large"), "{sparse:?}");
    let full = "for it in range(99):\n    open(str(it), 'wb').write(b'x' * (1 << 20))";
    let full = ended(&sandbox, full).await;
    assert!(full.stderr.contains("No space left"), "{full:?}");
    let open = "held = [open('/dev/null') for it in range(99)]";
    let open = ended(&sandbox, open).await;
    assert!(open.stderr.contains("Too many open files"), "{open:?}");
}

#[tokio::test]
async fn a_program_that_ends_everything_it_sees_ends_itself_alone() {
    let Some(sandbox) = sandbox().await else {
        return;
    };
    let source = "import os, signal\nprint(os.getppid(), flush=True)\ntry: os.kill(-1, signal.SIGKILL)\nexcept OSError: print('nobody', flush=True)\nos.abort()";
    for _ in 0..3 {
        let ended = ended(&sandbox, source).await;
        assert_eq!(ended.stdout, "0\nnobody\n", "{ended:?}");
        assert!(matches!(ended.ending, Ending::Killed(_)), "{ended:?}");
    }
}

#[tokio::test]
async fn tests_count_where_they_ran_to_their_end_alone() {
    let Some(sandbox) = sandbox().await else {
        return;
    };
    let tests = "assert double(2) == 4\nassert double('a') == 'aa'\n";
    let cases = [
        ("def double(x): return x * 2", true),
        ("def double(x): return x + 2", false),
        ("def double(x): raise SystemExit(0)", false),
        ("import os\ndef double(x): os._exit(0)", false),
        ("def double(x): exit(0)", false),
        ("import sys; sys.exit(0)", false),
        ("import os; os._exit(0)", false),
        (
            "import atexit, os\natexit.register(os._exit, 0)\ndef double(x): return 1",
            false,
        ),
        (
            "import os\nfor it in range(3, 64):\n    try: os.write(it, b'0' * 32)\n    except OSError: pass\nos._exit(0)",
            false,
        ),
        (
            "import os, sys\nos.execv(sys.executable, ['python3', '-c', ''])",
            false,
        ),
        ("def double(x) return", false),
        ("", false),
        // What is printed, and what a thread still does, is of no matter.
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\ndef double(x): return x * 2",
            true,
        ),
    ];
    for (source, passes) in cases {
        let program = Program {
            tests: tests.to_owned(),
            ..program(source)
        };
        let ended = sandbox.run(&program).await.unwrap();
        assert_eq!(ended.passed_tests, passes, "{source}: {ended:?}");
    }
}

#[tokio::test]
async fn input_and_output_are_those_of_a_program_by_itself() {
    let Some(sandbox) = sandbox().await else {
        return;
    };
    let source = "import sys\nname = input()\nprint('héllo', name, __name__)\nprint(len(sys.stdin.read()))\nprint('to the side', file=sys.stderr)\nexit(3)";
    let program = Program {
        stdin: format!("wörld\n{}", "x".repeat(300_000)),
        ..program(source)
    };
    let ended = sandbox.run(&program).await.unwrap();
    assert_eq!(ended.stdout, "héllo wörld __main__\n300000\n");
    assert_eq!(ended.stderr, "to the side\n");
    assert_eq!(ended.ending, Ending::Exited(3));
    assert!(!ended.passed_tests, "there were none");
}

#[tokio::test]
async fn a_launcher_that_is_lost_is_replaced_and_those_dropped_leave_nothing() {
    let Some(sandbox) = sandbox().await else {
        return;
    };
    let long = program("import time; time.sleep(99)");
    let short = program("print(1)");
    // One that nobody waits for any more.
    tokio::select! {
        biased;
        _ = sandbox.run(&long) => panic!("it sleeps"),
        ended = sandbox.run(&short) => assert_eq!(ended.unwrap().stdout, "1\n"),
    }
    let many: Vec<_> = (0..16).map(|it| program(&format!("print({it})"))).collect();
    let ended = join_all(many.iter().map(|program| sandbox.run(program))).await;
    for (it, ended) in ended.into_iter().enumerate() {
        assert_eq!(ended.unwrap().stdout, format!("{it}\n"));
    }
}

#[tokio::test]
async fn a_fault_of_the_sandbox_is_no_ending() {
    // A launcher that does not start any more once this file is there.
    let flag = std::env::temp_dir().join(format!("frugal-sandbox-{}", std::process::id()));
    let launcher = env!("CARGO_BIN_EXE_frugal-sandbox-launcher");
    let command = format!("test -e {} && exit 1; exec {launcher}", flag.display());
    let breaking = Options {
        mode: Mode::Off,
        launcher: Launcher {
            program: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".to_owned(), command],
        },
        ..options()
    };
    let sandbox = Sandbox::probe(breaking).await.unwrap();
    std::fs::write(&flag, "").unwrap();
    let program = program("print(1)");
    // One that began before goes on; it ends with whoever gave up waiting for it.
    assert!(sandbox.run(&program).await.is_ok());
    let given_up = futures::poll!(Box::pin(sandbox.run(&program)));
    assert!(given_up.is_pending());
    let error = sandbox.run(&program).await.unwrap_err();
    std::fs::remove_file(&flag).unwrap();
    assert!(matches!(error, SandboxError::Launcher(_)), "{error}");
}

#[tokio::test]
async fn what_is_missing_is_told() {
    let nowhere = Options {
        python: PathBuf::from("/nowhere/python3"),
        ..options()
    };
    let why = Sandbox::probe(nowhere).await.unwrap_err();
    assert!(matches!(why, Unavailable::NoPython { .. }), "{why}");
    assert!(why.to_string().contains("install Python 3"), "{why}");
    let mut no_launcher = options();
    no_launcher.launcher.program = PathBuf::from("/nowhere/launcher");
    let why = Sandbox::probe(no_launcher).await.unwrap_err();
    assert!(matches!(why, Unavailable::NoLauncher(_)), "{why}");
}

#[tokio::test]
async fn without_isolation_time_and_output_have_an_end_all_the_same() {
    let off = Options {
        mode: Mode::Off,
        ..options()
    };
    let sandbox = Sandbox::probe(off).await.unwrap();
    let busy = ended(&sandbox, "while True: pass").await;
    assert!(is_over_time(&busy), "{busy:?}");
    // What it leaves behind holds nobody up, and ends with it.
    let left =
        "import os, time\nif os.fork() == 0: time.sleep(99)\nprint(open('/etc/passwd').readable())";
    let left = ended(&sandbox, left).await;
    assert_eq!(
        (left.ending, left.stdout.as_str()),
        (Ending::Exited(0), "True\n")
    );
    let loud = ended(&sandbox, "while True: print('spam' * 1000)").await;
    assert_eq!(loud.ending, Ending::TooMuchOutput);
    let memory = ended(&sandbox, "x = bytearray(2 << 30)").await;
    assert!(memory.stderr.contains("MemoryError"), "{memory:?}");
}

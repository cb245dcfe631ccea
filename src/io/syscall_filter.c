#include "io/syscall_filter.h"

#include <errno.h>
#include <linux/netlink.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                     \
    __has_feature(memory_sanitizer)
#define HAS_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

enum { OF_THREADS = 0x10000 /* CLONE_THREAD */ };

/* clang-format off */
static const int allowed[] = {
    /* memory; mmap and mprotect have rules of their own */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    /* threads; clone has a rule of its own */
    SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getcpu), SCMP_SYS(membarrier),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(restart_syscall),
    /* time */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    /* waiting */
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2), SCMP_SYS(signalfd4),
    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(pipe2),
    /* descriptors */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
    SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup),
    SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(fcntl),
    /* files */
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
    SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(getdents64), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(link),
    SCMP_SYS(linkat), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fadvise64), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
    SCMP_SYS(sync_file_range), SCMP_SYS(flock), SCMP_SYS(fchmod), SCMP_SYS(fchown), SCMP_SYS(umask), SCMP_SYS(sendfile),
    SCMP_SYS(copy_file_range),
    /* networks; socket has a rule of its own */
    SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(shutdown), SCMP_SYS(getsockname),
    SCMP_SYS(getpeername), SCMP_SYS(setsockopt), SCMP_SYS(getsockopt), SCMP_SYS(sendto), SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg), SCMP_SYS(socketpair),
    /* facts */
    SCMP_SYS(getrandom), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrusage), SCMP_SYS(getrlimit), SCMP_SYS(getuid),
    SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(times),
};

/* Those an attacker would try; the answer is EPERM, so that it shows in a trace what it is. */
static const int dangerous[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_getfd), SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(listen),
    SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setresuid), SCMP_SYS(setresgid),
    SCMP_SYS(setgroups), SCMP_SYS(capset), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
    SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(init_module),
    SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(reboot),
    SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl),
    SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(open_by_handle_at), SCMP_SYS(personality), SCMP_SYS(acct),
    SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(adjtimex), SCMP_SYS(sethostname), SCMP_SYS(syslog),
    SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(chmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(lchown), SCMP_SYS(fchownat),
    SCMP_SYS(setxattr), SCMP_SYS(io_uring_setup), SCMP_SYS(ioperm), SCMP_SYS(iopl), SCMP_SYS(memfd_create),
};
/* clang-format on */

static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
static const unsigned long terminal_questions[] = {TCGETS, FIONREAD, FIONBIO, SIOCGIFNAME,
                                                   SIOCGIFINDEX};
static const int name_orders[] = {PR_SET_NAME, PR_GET_NAME};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Zero: so far everything went well. */
static int allow_plain(scmp_filter_ctx filter)
{
    int error = 0;

    for (size_t i = 0; i < COUNT(allowed) && error == 0; i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    }
    return error;
}

/* An argument's bits; of an int the upper half of the register says nothing. */
static struct scmp_arg_cmp has_bits(unsigned argument, scmp_datum_t mask, scmp_datum_t bits)
{
    return (struct scmp_arg_cmp){
        .arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = bits};
}

static struct scmp_arg_cmp is_int(unsigned argument, scmp_datum_t value)
{
    return has_bits(argument, UINT32_MAX, value & UINT32_MAX);
}

static int allow_if(scmp_filter_ctx filter, int call, struct scmp_arg_cmp condition)
{
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition);
}

static int allow_sockets(scmp_filter_ctx filter)
{
    /* Our own addresses are asked for by it. */
    const struct scmp_arg_cmp routes[] = {is_int(0, AF_NETLINK), is_int(2, NETLINK_ROUTE)};
    int error = 0;

    for (size_t i = 0; i < COUNT(families) && error == 0; i++) {
        error = allow_if(filter, SCMP_SYS(socket), is_int(0, (scmp_datum_t)families[i]));
    }
    return error != 0 ? error
                      : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket),
                                               COUNT(routes), routes);
}

static int allow_orders(scmp_filter_ctx filter)
{
    int error = 0;

    for (size_t i = 0; i < COUNT(terminal_questions) && error == 0; i++) {
        error = allow_if(filter, SCMP_SYS(ioctl), is_int(1, terminal_questions[i]));
    }
    for (size_t i = 0; i < COUNT(name_orders) && error == 0; i++) {
        error = allow_if(filter, SCMP_SYS(prctl), is_int(0, (scmp_datum_t)name_orders[i]));
    }
    if (error != 0) {
        return error;
    }
    /* Limits can be asked for; set, only how many files may be open, which a reload may change. */
    error = allow_if(filter, SCMP_SYS(prlimit64), has_bits(2, UINT64_MAX, 0));
    return error != 0 ? error : allow_if(filter, SCMP_SYS(prlimit64), is_int(1, RLIMIT_NOFILE));
}

static int allow_memory(scmp_filter_ctx filter)
{
    const scmp_datum_t both = PROT_WRITE | PROT_EXEC;
    const scmp_datum_t kinds[] = {0, PROT_WRITE, PROT_EXEC};
    int error = allow_if(filter, SCMP_SYS(mprotect), has_bits(2, PROT_EXEC, 0));

    for (size_t i = 0; i < COUNT(kinds) && error == 0; i++) {
        error = allow_if(filter, SCMP_SYS(mmap), has_bits(2, both, kinds[i]));
    }
    return error;
}

/* Threads, not processes; and abort(). */
static int allow_threads(scmp_filter_ctx filter)
{
    int error = allow_if(filter, SCMP_SYS(clone), has_bits(0, OF_THREADS, OF_THREADS));

    return error != 0 ? error
                      : allow_if(filter, SCMP_SYS(tgkill), is_int(0, (scmp_datum_t)getpid()));
}

static int refuse_dangerous(scmp_filter_ctx filter)
{
    int error = 0;

    for (size_t i = 0; i < COUNT(dangerous) && error == 0; i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), dangerous[i], 0);
    }
    return error;
}

/* The flags of clone3 cannot be seen from here; the C library has to fall back on clone, and it is no
 * crime to try. */
static int answer_clone3(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static void tune(scmp_filter_ctx filter)
{
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    /* Older kernels would slow the whole process down for having a filter. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1); /* what was refused, in the audit log */
}

static int fill(scmp_filter_ctx filter, bool is_strict)
{
    int (*const parts[])(scmp_filter_ctx) = {allow_plain, allow_sockets, allow_orders,
                                             allow_memory, allow_threads};
    int error = 0;

    for (size_t i = 0; i < COUNT(parts) && error == 0; i++) {
        error = parts[i](filter);
    }
    if (error != 0) {
        return error;
    }
    return is_strict ? answer_clone3(filter) : refuse_dangerous(filter);
}

enum sandbox_result syscall_filter_enter(bool is_strict, struct strbuf *why)
{
    scmp_filter_ctx filter;
    int error;

    if (HAS_SANITIZER) {
        strbuf_add_text(why, "this is a sanitizer's build");
        return SANDBOX_UNAVAILABLE;
    }
    filter = seccomp_init(is_strict ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL) {
        strbuf_add_text(why, "libseccomp does not know this machine");
        return SANDBOX_UNAVAILABLE;
    }
    tune(filter);
    error = fill(filter, is_strict);
    if (error == 0) {
        error = seccomp_load(filter);
    }
    seccomp_release(filter);
    if (error != 0) {
        strbuf_addf(why, "seccomp: %s", strerror(-error));
    }
    return error == 0         ? SANDBOX_ON
           : error == -EINVAL ? SANDBOX_UNAVAILABLE /* no seccomp in this kernel */
                              : SANDBOX_FAILED;
}

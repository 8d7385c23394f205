// QEMU plugin: counts the guest's instructions. Writes one line to the file `out=PATH` for each write(2) of the guest
// to its standard output, and one when it ends: how many instructions had been executed, all threads together.
//
// Built without QEMU's headers, which Debian does not package: these are the few declarations of its plugin interface
// that are needed, unchanged from version 1 (QEMU 4.2) to today.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
typedef uint64_t qemu_plugin_id_t;
typedef void (*vcpu_udata_cb)(unsigned int vcpu, void *userdata);
typedef void (*udata_cb)(qemu_plugin_id_t id, void *userdata);
typedef void (*tb_trans_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*syscall_cb)(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1, uint64_t a2,
                           uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8);
typedef void (*syscall_ret_cb)(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, int64_t result);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, vcpu_udata_cb cb, int flags, void *userdata);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id, syscall_cb cb);
void qemu_plugin_register_vcpu_syscall_ret_cb(qemu_plugin_id_t id, syscall_ret_cb cb);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, udata_cb cb, void *userdata);

EXPORT int qemu_plugin_version = 1;

// From the table of system calls that aarch64 shares with other recent architectures.
enum { SYS_WRITE = 64, SYS_GETRANDOM = 278 };

static uint64_t executed;
static FILE *out;
static uint64_t base;
static __thread uint64_t random_buffer;

static void report(const char *event) {
    fprintf(out, "%s %" PRIu64 "\n", event, __atomic_load_n(&executed, __ATOMIC_RELAXED));
    fflush(out);
}

static void block_executed(unsigned int vcpu, void *instructions) {
    (void)vcpu;
    __atomic_fetch_add(&executed, (uintptr_t)instructions, __ATOMIC_RELAXED);
}

static void block_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    // 0: the callback reads no registers
    qemu_plugin_register_vcpu_tb_exec_cb(tb, block_executed, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb));
}

static void system_call(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                        uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)vcpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == SYS_WRITE && a1 == 1) {
        report("write");
    }
    random_buffer = a1;
}

static void system_call_returns(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, int64_t result) {
    (void)id, (void)vcpu;
    // Random bytes become zeros: hash maps are seeded with them, and only maps that iterate in the same order each time
    // make a program do the same again, so that counts repeat.
    if (number == SYS_GETRANDOM && result > 0) {
        memset((void *)(uintptr_t)(base + random_buffer), 0, (size_t)result);
    }
}

static void ended(qemu_plugin_id_t id, void *userdata) {
    (void)id, (void)userdata;
    report("end");
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    (void)info;
    if (argc != 2 || strncmp(argv[0], "out=", 4) != 0 || strncmp(argv[1], "base=", 5) != 0) {
        fprintf(stderr, "instructions: give out=FILE,base=BASE, in this order\n");
        return 1;
    }
    base = strtoull(argv[1] + 5, NULL, 0);
    if ((out = fopen(argv[0] + 4, "w")) == NULL) {
        perror(argv[0] + 4);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
    qemu_plugin_register_vcpu_syscall_cb(id, system_call);
    qemu_plugin_register_vcpu_syscall_ret_cb(id, system_call_returns);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}

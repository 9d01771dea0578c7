/* The copy loops of src/store/copy_aarch64.s against memcmp, and their behaviour at a fault: what the unit tests of
 * src/store/sys.rs check on the machine at hand, for a machine that is not. scripts/test-aarch64 runs it under qemu. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

size_t afbfs_copy_aligned_source(void *dst, const void *src, size_t len);
size_t afbfs_copy_aligned_target(void *dst, const void *src, size_t len);
typedef size_t strided(void *dst, long dst_stride, const void *src, long src_stride, size_t count);
strided afbfs_copy_strided_1, afbfs_copy_strided_2, afbfs_copy_strided_4, afbfs_copy_strided_8, afbfs_copy_strided_16;
strided afbfs_copy_reversed_1, afbfs_copy_reversed_2, afbfs_copy_reversed_4, afbfs_copy_reversed_8;
void afbfs_prefetch(const void *start, size_t len);
extern char afbfs_copy_begin, afbfs_copy_end, afbfs_copy_landing;

static const struct {
    strided *copy;
    int size;
} STRIDED[] = {
    {afbfs_copy_strided_1, 1}, {afbfs_copy_strided_2, 2},   {afbfs_copy_strided_4, 4},
    {afbfs_copy_strided_8, 8}, {afbfs_copy_strided_16, 16},
};

static const struct {
    strided *copy;
    int size;
} REVERSED[] = {
    {afbfs_copy_reversed_1, 1}, {afbfs_copy_reversed_2, 2}, {afbfs_copy_reversed_4, 4}, {afbfs_copy_reversed_8, 8},
};

static void check(int holds, const char *what) {
    if (!holds) {
        printf("failed: %s\n", what);
        exit(1);
    }
}

/* As the handler in src/store/sys.rs. qemu reports some of these faults as SIGSEGV. */
static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ucontext_t *at = context;
    char *pc = (char *)at->uc_mcontext.pc;
    if (pc < &afbfs_copy_begin || pc >= &afbfs_copy_end)
        _exit(2);
    at->uc_mcontext.pc = (unsigned long)&afbfs_copy_landing;
}

static unsigned char source[2048], target[2048];

static void plain_copies(void) {
    for (int from = 0; from < 17; from++)
        for (int to = 1; to < 10; to++)
            for (int len = 0; len < 300; len++)
                for (int side = 0; side < 2; side++) {
                    memset(target, 0xee, sizeof target);
                    size_t left = side ? afbfs_copy_aligned_target(target + to, source + from, len)
                                       : afbfs_copy_aligned_source(target + to, source + from, len);
                    check(left == 0 && memcmp(target + to, source + from, len) == 0, "a plain copy");
                    check(target[to - 1] == 0xee && target[to + len] == 0xee, "the bytes around a plain copy");
                }
}

static void strided_copies(void) {
    for (int k = 0; k < 5; k++)
        for (int stride = -40; stride <= 40; stride++)
            for (int count = 0; count < 20; count++) {
                int size = STRIDED[k].size;
                memset(target, 0xee, sizeof target);
                check(STRIDED[k].copy(target, size, source + 1000, stride, count) == 0, "a strided copy");
                for (int i = 0; i < count; i++)
                    check(memcmp(target + i * size, source + 1000 + stride * i, size) == 0, "an element");
                check(target[count * size] == 0xee, "the byte after a strided copy");
            }
}

/* Groups of 16 bytes: those of the one side in order, those of the other from the last on. */
static void reversed_copies(void) {
    for (int k = 0; k < 4; k++)
        for (int groups = 1; groups < 20; groups++)
            for (int side = 0; side < 2; side++) {
                int size = REVERSED[k].size, count = groups * 16 / size, last = (groups - 1) * 16;
                memset(target, 0xee, sizeof target);
                unsigned char *dst = target + 16 + (side ? last : 0), *src = source + 3 + (side ? 0 : last);
                long step = side ? -16 : 16;
                check(REVERSED[k].copy(dst, step, src, -step, groups) == 0, "a reversed copy");
                for (int i = 0; i < count; i++)
                    check(memcmp(target + 16 + i * size, source + 3 + (count - 1 - i) * size, size) == 0, "an element");
                check(target[15] == 0xee && target[16 + groups * 16] == 0xee, "the bytes around a reversed copy");
            }
}

static void faults(void) {
    long page = sysconf(_SC_PAGESIZE);
    char name[] = "/tmp/afbfs-copy-XXXXXX";
    int file = mkstemp(name);
    check(file >= 0 && unlink(name) == 0 && ftruncate(file, 4 * page) == 0, "a temporary file");
    char *map = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *buffer = malloc(4 * page);
    check(map != MAP_FAILED && buffer != NULL && ftruncate(file, 2 * page) == 0, "a truncated mapping");
    size_t least = page + 5;
    size_t left = afbfs_copy_aligned_source(buffer, map + 5, 3 * page);
    check(left >= least && left < least + 32, "what is left of a read");
    left = afbfs_copy_aligned_target(map + 5, buffer, 3 * page);
    check(left >= least && left < least + 32, "what is left of a write");
    for (int k = 0; k < 5; k++) {
        left = STRIDED[k].copy(buffer, STRIDED[k].size, map, 64, 4 * page / 64);
        check(left == (size_t)(2 * page / 64), "what is left of a strided read");
    }
    for (int k = 0; k < 4; k++) {
        left = REVERSED[k].copy(buffer + 3 * page, -16, map + page, 16, 2 * page / 16);
        check(left == (size_t)(page / 16), "what is left of a reversed read");
        left = REVERSED[k].copy(map + 3 * page - 16, -16, buffer, 16, 2 * page / 16);
        check(left == (size_t)(2 * page / 16), "what is left of a reversed write");
    }
    afbfs_prefetch(map + 3 * page, page);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = i * 7 + i / 256;
    plain_copies();
    strided_copies();
    reversed_copies();
    faults();
    puts("the copy loops for aarch64 are right");
    return 0;
}

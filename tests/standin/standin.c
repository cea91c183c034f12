/* Stands in for Xen's libraries where there is no Xen: one HVM domain, whose memory is a file of this machine's.
 *
 * Preloaded, and also found by the sonames of libxenctrl, libxenguest and libxenforeignmemory.  Frame N of the domain is
 * page N of the file $STANDIN_MEMORY; with $STANDIN_NEW none has memory until it is populated.  There is a hole where a
 * PC has its VGA.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, HOLE = 0xa0, HOLE_END = 0xc0, ABSENT = 0xf, TYPE_SHIFT = 28 };
enum { STORE_PFN = 1, CONSOLE_PFN = 17, HVM = 2, INFO_FLAGS = 1, LEAVES = 4, LEAF = 24, MSRS = 1, MSR = 16 };
enum { TSC_MODE = 2, TSC_KHZ = 2000000, TSC_NSEC = 14, TSC_INCARNATION = 1 };

static const char context[1000] = "what Xen knows of the vcpus";
static int memory;
static uint64_t frames;
static bool *present; /* of each frame, whether it has memory */

/* ---- the version of Xen, which is in sysfs */

static int opened(const char *path, int flags, int mode)
{
    static const char sysfs[] = "/sys/hypervisor/";
    char ours[4096];

    if (!strncmp(path, sysfs, sizeof(sysfs) - 1)) {
        snprintf(ours, sizeof(ours), "%s/%s", getenv("LD_LIBRARY_PATH"), path + sizeof(sysfs) - 1);
        path = ours;
    }
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list more;

    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    return opened(path, flags, mode);
}

int open(const char *path, int flags, ...) __attribute__((alias("open64")));

/* ---- libxenctrl: the domain */

static bool has(uint64_t gfn) { return gfn < frames && present[gfn]; }

static int refused(int error)
{
    errno = error;
    return -1;
}

void *xc_interface_open(void *logger, void *dombuild_logger, unsigned flags)
{
    struct stat file;

    memory = open64(getenv("STANDIN_MEMORY"), O_RDWR | O_CLOEXEC);
    if (memory < 0 || fstat(memory, &file) || !(present = malloc(file.st_size / PAGE)))
        return NULL;
    frames = file.st_size / PAGE;
    memset(present, !getenv("STANDIN_NEW"), frames);
    memset(present + HOLE, false, HOLE_END - HOLE);
    return &memory;
}

int xc_maximum_ram_page(void *xc, unsigned long *last)
{
    *last = frames - 1;
    return 0;
}

int xc_domain_getinfolist(void *xc, uint32_t domid, unsigned count, uint32_t *info)
{
    info[INFO_FLAGS] = HVM;
    return 1;
}

int xc_domain_maximum_gpfn(void *xc, uint32_t domid, unsigned long *last)
{
    *last = frames - 1;
    return 0;
}

int xc_get_pfn_type_batch(void *xc, uint32_t domid, unsigned count, uint64_t *gfns)
{
    if (count > 1024)
        return refused(E2BIG);
    for (unsigned at = 0; at < count; at++)
        gfns[at] = has(gfns[at]) ? 0 : (uint64_t)ABSENT << TYPE_SHIFT;
    return 0;
}

int xc_domain_populate_physmap(void *xc, uint32_t domid, unsigned long count, unsigned order, unsigned flags,
                               const uint64_t *gfns)
{
    for (unsigned long at = 0; at < count; at++) {
        uint64_t end = gfns[at] + (1ull << order);
        if (end > frames || (gfns[at] < HOLE_END && end > HOLE))
            return at;
        memset(present + gfns[at], true, 1ull << order);
    }
    return count;
}

int xc_clear_domain_pages(void *xc, uint32_t domid, unsigned long gfn, int count)
{
    static const char zeros[PAGE];

    for (; count; count--, gfn++)
        if (!has(gfn) || pwrite(memory, zeros, PAGE, gfn * PAGE) != PAGE)
            return refused(EINVAL);
    return 0;
}

int xc_domain_get_tsc_info(void *xc, uint32_t domid, uint32_t *mode, uint64_t *nsec, uint32_t *khz, uint32_t *incarnation)
{
    *mode = TSC_MODE, *nsec = TSC_NSEC, *khz = TSC_KHZ, *incarnation = TSC_INCARNATION;
    return 0;
}

int xc_domain_set_tsc_info(void *xc, uint32_t domid, uint32_t mode, uint64_t nsec, uint32_t khz, uint32_t incarnation)
{
    bool same = mode == TSC_MODE && nsec == TSC_NSEC && khz == TSC_KHZ && incarnation == TSC_INCARNATION;

    return same ? 0 : refused(EINVAL);
}

int xc_domain_hvm_getcontext(void *xc, uint32_t domid, void *buffer, uint32_t size)
{
    if (buffer)
        memcpy(buffer, context, sizeof(context));
    return sizeof(context);
}

int xc_domain_hvm_setcontext(void *xc, uint32_t domid, const void *buffer, uint32_t size)
{
    return size == sizeof(context) && !memcmp(buffer, context, size) ? 0 : refused(EINVAL);
}

/* Both rings are in the last pages. */
int xc_hvm_param_get(void *xc, uint32_t domid, uint32_t index, uint64_t *value)
{
    *value = index == STORE_PFN ? frames - 4 : index == CONSOLE_PFN ? frames - 1 : 0;
    return 0;
}

int xc_hvm_param_set(void *xc, uint32_t domid, uint32_t index, uint64_t value) { return 0; }

/* ---- libxenguest: the processor, and the grants of the rings */

void *xc_cpu_policy_init(void) { return &memory; }
void xc_cpu_policy_destroy(void *policy) {}
int xc_cpu_policy_get_domain(void *xc, uint32_t domid, void *policy) { return 0; }

int xc_cpu_policy_get_size(void *xc, uint32_t *leaves, uint32_t *msrs)
{
    *leaves = LEAVES, *msrs = MSRS;
    return 0;
}

int xc_cpu_policy_serialise(void *xc, const void *policy, void *leaves, uint32_t *leaf_count, void *msrs,
                            uint32_t *msr_count)
{
    memset(leaves, 1, LEAVES * LEAF);
    memset(msrs, 2, MSRS * MSR);
    return xc_cpu_policy_get_size(xc, leaf_count, msr_count);
}

int xc_set_domain_cpu_policy(void *xc, uint32_t domid, uint32_t leaf_count, void *leaves, uint32_t msr_count, void *msrs,
                             uint32_t *bad_leaf, uint32_t *bad_subleaf, uint32_t *bad_msr)
{
    return leaf_count == LEAVES && msr_count == MSRS ? 0 : refused(EINVAL);
}

int xc_dom_gnttab_seed(void *xc, uint32_t domid, bool hvm, unsigned long console, unsigned long store,
                       uint32_t console_domid, uint32_t store_domid)
{
    return has(console) && has(store) ? 0 : refused(EINVAL);
}

/* ---- libxenforeignmemory: its pages */

void *xenforeignmemory_open(void *logger, unsigned flags) { return &memory; }

/* Pages that are missing are passed over and told of, as the library does. */
void *xenforeignmemory_map(void *handle, uint32_t domid, int access, size_t count, const uint64_t *gfns, int *errors)
{
    char *area = mmap(NULL, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (area == MAP_FAILED)
        return NULL;
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first; end < count && gfns[end] == gfns[first] + (end - first) && has(gfns[end]); end++)
            errors[end] = 0;
        if (end == first) {
            errors[end++] = -EINVAL;
            continue;
        }
        /* All at once, as privcmd does, and not page by page as they are touched. */
        if (mmap(area + first * PAGE, (end - first) * PAGE, access, MAP_SHARED | MAP_FIXED | MAP_POPULATE, memory,
                 gfns[first] * PAGE) == MAP_FAILED) {
            munmap(area, count * PAGE);
            return NULL;
        }
    }
    return area;
}

int xenforeignmemory_unmap(void *handle, void *area, size_t count) { return munmap(area, count * PAGE); }

/* Stands below libxl where there is no Xen, so that `xl create -n` parses and prints: 8 CPUs on 4 nodes, no domains. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CPUS = 8, NODES = 4, HANDLE_SIZE = 4096, PAGE_SIZE = 4096, CMD_PAGE_SIZE = 7 };

/* The beginning of struct xen_sysctl_physinfo of Xen 4.17. */
struct physinfo {
    uint32_t threads_per_core, cores_per_socket, nr_cpus, max_cpu_id, nr_nodes, max_node_id;
};

/* $XL_CONF stands in for the host's xl.conf. */
FILE *fopen(const char *path, const char *mode)
{
    static FILE *(*next)(const char *path, const char *mode);
    const char *conf = strcmp(path, "/etc/xen/xl.conf") ? NULL : getenv("XL_CONF");
    if (!next)
        next = (FILE *(*)(const char *, const char *))dlsym(RTLD_NEXT, "fopen");
    return next(conf ? conf : path, mode);
}

void *xc_interface_open(void *logger, void *dombuild_logger, unsigned flags) { return calloc(1, HANDLE_SIZE); }
int xc_interface_close(void *handle) { return 0; }
void *xs_open(unsigned long flags) { return calloc(1, HANDLE_SIZE); }
void xs_close(void *handle) {}
void xs_daemon_close(void *handle) {}

int xc_get_max_cpus(void *handle) { return CPUS; }
int xc_get_online_cpus(void *handle) { return CPUS; }
int xc_get_max_nodes(void *handle) { return NODES; }
long xc_sharing_freed_pages(void *handle) { return 0; }
long xc_sharing_used_frames(void *handle) { return 0; }

int xc_physinfo(void *handle, struct physinfo *info)
{
    *info = (struct physinfo){ 1, CPUS, CPUS, CPUS - 1, NODES, NODES - 1 };
    return 0;
}

/* One pair of CPUs on each node; asked without arrays, the counts alone. */
int xc_cputopoinfo(void *handle, unsigned *count, uint32_t (*topology)[3])
{
    *count = CPUS;
    for (uint32_t cpu = 0; topology && cpu < CPUS; cpu++) {
        topology[cpu][0] = cpu;
        topology[cpu][1] = 0;
        topology[cpu][2] = cpu / (CPUS / NODES);
    }
    return 0;
}

int xc_numainfo(void *handle, unsigned *count, uint64_t (*memory)[2], uint32_t *distance)
{
    *count = NODES;
    for (unsigned node = 0; memory && node < NODES; node++)
        memory[node][0] = memory[node][1] = 1ull << 32;
    for (unsigned pair = 0; distance && pair < NODES * NODES; pair++)
        distance[pair] = 10;
    return 0;
}

int xc_version(void *handle, int command, void *answer)
{
    static const uint16_t sizes[] = { 0, 16, 64, 1024, 8, 64, 8, 0, 0, 1024 };
    if (answer && command >= 0 && command < (int)(sizeof(sizes) / sizeof(*sizes)))
        memset(answer, 0, sizes[command]);
    return command == CMD_PAGE_SIZE ? PAGE_SIZE : 0;
}

/* Since Xen 4.18 libxl asks so; the answers are freed. */
char *xc_xenver_extraversion(void *handle) { return strdup(""); }
char *xc_xenver_capabilities(void *handle) { return strdup(""); }
char *xc_xenver_changeset(void *handle) { return strdup(""); }
char *xc_xenver_commandline(void *handle) { return strdup(""); }
char *xc_xenver_buildid(void *handle) { return strdup(""); }

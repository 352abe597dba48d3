/* Gives back memory that only the start of a process needed. */
#include "base/memory.h"

#include <link.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* A segment that nobody may write to is as it is in its file, so that dropping its pages loses
 * nothing. Those that the dynamic linker has written to and write-protected then (RELRO) are in
 * segments that are writable, and are left alone. */
static int segments_release(struct dl_phdr_info *object, size_t size, void *userdata)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)size, (void)userdata;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        const uintptr_t start = (object->dlpi_addr + segment->p_vaddr) / page * page;
        const uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;

        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0)
            continue;
        (void)munlock((void *)start, end - start);
        (void)madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void memory_give_back(void)
{
    (void)malloc_trim(0);
    (void)dl_iterate_phdr(segments_release, NULL);
}

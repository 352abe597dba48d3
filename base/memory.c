/* What a process holds of memory once it has started: what it gives back, and what need not be
 * locked. */
#include "base/memory.h"

#include <link.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* The pages of every segment that nobody may write to, and so are as they are in their file. What
 * the dynamic linker has written to and write-protected then (RELRO) is in segments that are
 * writable, and left alone. */
static int segments_each(struct dl_phdr_info *object, size_t size, void *userdata)
{
    void (*const *act)(void *start, size_t size) = userdata;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)size;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        const uintptr_t start = (object->dlpi_addr + segment->p_vaddr) / page * page;
        const uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;

        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) == 0) {
            /* NOLINTNEXTLINE(performance-no-int-to-ptr): the linker has addresses as numbers */
            (*act)((void *)start, end - start);
        }
    }
    return 0;
}

static void release(void *start, size_t size)
{
    (void)madvise(start, size, MADV_DONTNEED);
}

static void unlock(void *start, size_t size)
{
    (void)munlock(start, size);
}

void memory_give_back(void)
{
    void (*act)(void *, size_t) = release;

    (void)malloc_trim(0);
    (void)dl_iterate_phdr(segments_each, &act);
}

void memory_unlock_code(void)
{
    void (*act)(void *, size_t) = unlock;

    (void)dl_iterate_phdr(segments_each, &act);
}

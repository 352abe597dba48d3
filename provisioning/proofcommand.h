/* What the four commands of the proof share, and the line's step in part. They write what they make
 * to standard output, and what they have to say to standard error. */
#pragma once

#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

/* A message file, whole. *ret is the caller's to free(). 0 or -errno after a complaint. */
int message_read(const char *path, uint8_t **ret, size_t *ret_size);

/* Puts text onto standard output, to the last octet. 0 or -EIO after a complaint. */
int message_print(const char *text);

/* Sets up the memory for secrets, unless that was done before. 0 or -errno after a complaint. */
int secrets_ready(void);

/* Where the authority keeps its memory of a challenge: `given`, or beside the request. *ret is the
 * caller's to free(). 0 or -ENOMEM after a complaint. */
int pending_path(const char *given, const char *request, char **ret);

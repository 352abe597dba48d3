/* Standard input, output and error of a program, and what it says of itself there. */
#pragma once

/* Opens those of the three that are closed, so that no file that the program opens gets their
 * numbers, and what is printed ends up in it. What stands in for them can't be read or written.
 * First of all in main(); ends the program with EX_OSERR where /dev/null can't be opened. */
void standard_open(void);

/* Last of all in main(): returns `status`, or EX_IOERR, having said why on standard error, if what
 * was printed did not get where it was to go (a full disk, a closed descriptor). */
int standard_finish(const char *program, int status);

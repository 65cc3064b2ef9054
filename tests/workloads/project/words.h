/* Words of a stream. */
#ifndef WORDS_H
#define WORDS_H

#include <stdio.h>

#include "table.h"

/* Counts every word of a stream; a word is a row of letters. Returns -1 when there is no memory or it cannot be read. */
int words_count(FILE *stream, struct table *table);

#endif

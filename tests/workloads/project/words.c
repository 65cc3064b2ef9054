#include "words.h"

#include <ctype.h>
#include <stdlib.h>

static int count_line(const char *line, struct table *table)
{
    while (*line) {
        size_t length = 0;
        while (isalpha((unsigned char)line[length]))
            length++;
        if (length && table_add(table, line, length) < 0)
            return -1;
        line += length ? length : 1;
    }
    return 0;
}

int words_count(FILE *stream, struct table *table)
{
    char *line = NULL;
    size_t room = 0;
    int status = 0;
    while (status == 0 && getline(&line, &room, stream) >= 0)
        status = count_line(line, table);
    free(line);
    return ferror(stream) ? -1 : status;
}

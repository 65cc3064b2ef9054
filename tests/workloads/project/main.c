#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

static int by_count(const void *left, const void *right)
{
    const struct entry *one = left, *other = right;
    if (!one->word || !other->word)
        return !one->word - !other->word;
    if (one->count != other->count)
        return one->count < other->count ? 1 : -1;
    return strcmp(one->word, other->word);
}

int main(void)
{
    struct table table = {0};
    if (words_count(stdin, &table) < 0) {
        perror("wordcount");
        return 1;
    }
    if (table.size)
        qsort(table.entries, table.size, sizeof(*table.entries), by_count);
    for (size_t i = 0; i < table.used; i++)
        printf("%zu %s\n", table.entries[i].count, table.entries[i].word);
    table_free(&table);
    return 0;
}

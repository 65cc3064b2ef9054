/* A hash table from words to counts, which grows. */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>

struct entry {
    char *word;
    size_t count;
};

struct table {
    struct entry *entries; /* `size` of them, a power of two; those without a word are free */
    size_t size;
    size_t used;
};

/* Counts a word once more. Returns -1 when there is no memory. */
int table_add(struct table *table, const char *word, size_t length);
/* Returns how often a word was counted. */
size_t table_count(const struct table *table, const char *word);
void table_free(struct table *table);

#endif

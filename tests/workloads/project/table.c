#include "table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static size_t hash(const char *word, size_t length)
{
    uint64_t value = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        value = (value ^ (unsigned char)word[i]) * 1099511628211u;
    return (size_t)value;
}

static struct entry *find(const struct table *table, const char *word, size_t length)
{
    size_t at = hash(word, length) & (table->size - 1);
    while (table->entries[at].word) {
        const char *other = table->entries[at].word;
        if (strncmp(other, word, length) == 0 && other[length] == '\0')
            break;
        at = (at + 1) & (table->size - 1);
    }
    return &table->entries[at];
}

static int grow(struct table *table)
{
    struct table larger = {.size = table->size ? table->size * 2 : 8, .used = table->used};
    larger.entries = calloc(larger.size, sizeof(*larger.entries));
    if (!larger.entries)
        return -1;
    for (size_t i = 0; i < table->size; i++)
        if (table->entries[i].word)
            *find(&larger, table->entries[i].word, strlen(table->entries[i].word)) = table->entries[i];
    free(table->entries);
    *table = larger;
    return 0;
}

int table_add(struct table *table, const char *word, size_t length)
{
    if (table->used * 2 >= table->size && grow(table) < 0)
        return -1;
    struct entry *entry = find(table, word, length);
    if (!entry->word) {
        entry->word = strndup(word, length);
        if (!entry->word)
            return -1;
        table->used++;
    }
    entry->count++;
    return 0;
}

size_t table_count(const struct table *table, const char *word)
{
    return table->size ? find(table, word, strlen(word))->count : 0;
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->size; i++)
        free(table->entries[i].word);
    free(table->entries);
}

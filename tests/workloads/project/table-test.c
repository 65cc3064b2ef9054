#include "table.h"

#include <stdio.h>
#include <string.h>

int main(void)
{
    struct table table = {0};
    char word[16];
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 10000; i++) {
            snprintf(word, sizeof(word), "word-%d", i);
            if (table_add(&table, word, strlen(word)) < 0)
                return 1;
        }
    int right = table.used == 10000 && table_count(&table, "word-0") == 3 && table_count(&table, "word-9999") == 3
        && table_count(&table, "word") == 0;
    table_free(&table);
    puts(right ? "table: ok" : "table: wrong");
    return !right;
}

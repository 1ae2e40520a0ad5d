/* SPDX-License-Identifier: MIT */
#include "dev/debugcon.h"

#include "arch/io.h"

enum { PORT = 0xe9 };

bool debugcon_present(void)
{
    return inb(PORT) == PORT; /* both emulators answer with the port's own number */
}

void debugcon_write(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        outb(PORT, (uint8_t)text[i]);
}

// Linked into both libraries, so that a caller can ask either which interface it speaks.
#include "stylecine.h"

int stylecine_abi(void) { return STYLECINE_ABI; }

// Linked into both libraries, so that a caller can ask either for its version of the interface.
#include "stylecine.h"

int stylecine_abi(void) { return STYLECINE_ABI; }

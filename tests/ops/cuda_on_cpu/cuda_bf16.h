// bfloat16 is all in shared.h; this stands in for the header that it includes.

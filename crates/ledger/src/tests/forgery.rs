//! Every forgery that one missing check would let through.

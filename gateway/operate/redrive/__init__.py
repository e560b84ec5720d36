"""``gateway redrive``: rejected and dead-lettered events go through again."""

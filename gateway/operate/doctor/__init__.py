"""``gateway doctor``: is everything as a gateway needs it, and if not, what is to be done?"""

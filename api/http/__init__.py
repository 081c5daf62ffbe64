"""What a client meets: routes, limits, answers, pages."""

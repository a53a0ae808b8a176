"""A page that explains a loop: `evidence` collects what is known of it, `advice` says what to do, `page` shows both."""

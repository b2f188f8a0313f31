"""Law as dated data: packs are loaded, compiled to expressions, asked, and explained."""

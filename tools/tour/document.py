def write_document(directory, tour, stops): return []

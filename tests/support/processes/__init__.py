"""A whole TaskFlow in processes of its own: started, stopped, killed and measured."""
